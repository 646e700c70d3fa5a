"""What the files of a mount must be: a plain model in memory, and the rules by which it is compared.

An operation is a tuple of words and numbers, so that a log of them can be printed and run again:

    open HANDLE NAME FLAGS    FLAGS: r, w or + (both), then any of c (create), x (only create), t (truncate), a (append)
    write HANDLE OFFSET SIZE TAG      bytes made of TAG; OFFSET is ignored by a handle that appends
    ftruncate HANDLE SIZE     fsync HANDLE     close HANDLE
    truncate NAME SIZE     rename NAME NEW     unlink NAME     mkdir NAME     rmdir NAME
    read NAME     list NAME

What happened to it is "ok" with a value, an errno, or DIED: the daemon was killed meanwhile.

The rules:

 1. What was acknowledged is exactly what is there. A file's content is acknowledged when close() of a handle that
    may write, fsync(), truncate() or ftruncate() has returned 0; a name when create, rename, unlink, mkdir or rmdir has.
 2. What died under way left either the state before it or the state after it, of all names and files together.
    The same is true of a namespace operation that failed because of the server, and of an fsync() that did.
    Only a folder may then be there under both names, one of them empty: GSS has no rename.
 3. A file that was being written, and not closed since, comes back as its acknowledged content. Only if acknowledged
    bytes had been overwritten or cut off by then, or there never were any, it may be something else; then its
    state says `failed`, and it is not uploaded.
 4. On the server is, in the end, what is in the mount: the same names, the same bytes, nothing else. A file that
    `failed` shows there some whole version that it had been since it was last known to be there.
 5. One exception, for large files, whose sums are not made with each upload: what was sent whole and then changed here,
    before it was known to have arrived, is not known as ours after a kill. Both versions are there then, the newer one as
    a conflict copy.

Because of rule 2 there may be several possible worlds; each observation drops those that contradict it, and one must
be left.
"""

import copy
import errno

DIED = "died"
# What a request may fail with because of the server or the network, or of our being logged out.
PASSING = {errno.EIO, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.EAGAIN, errno.ENOKEY, errno.EKEYREJECTED,
           errno.EACCES, errno.ECONNRESET, errno.EBUSY}
WORLDS_MAX = 256
LARGE = 1 << 20


def data(size, tag):
    """Bytes that show which write they belong to, and where in it."""
    blocks = []
    for i in range(size // 1024 + 1):
        unit = f"{tag}:{i:05d} ".encode()
        blocks.append((unit * (1024 // len(unit) + 1))[:1024])
    return b"".join(blocks)[:size]


class File:
    """`acked`: None, as long as nothing of it is acknowledged."""

    def __init__(self):
        self.content = b""
        self.acked = None
        self.changed = True
        self.tears = False

    def change(self, content, start):
        """From `start` on the bytes may be others."""
        self.tears |= self.acked is not None and start < len(self.acked)
        self.content = content
        self.changed = True

    def acknowledge(self):
        self.acked = self.content
        self.changed = self.tears = False

    def recovered_as(self, content, state):
        if self.changed and (self.tears or self.acked is None) and state == "failed":
            longest = max(len(self.content), len(self.acked or b""))
            return len(content) <= longest
        return content == self.acked and state != "failed"

    def __repr__(self):
        text = f"{len(self.content)} bytes {self.content[:24]!r}"
        if self.changed:
            text += f", acknowledged: {None if self.acked is None else (len(self.acked), self.acked[:24])}"
            text += ", torn" if self.tears else ""
        return text


class World:
    def __init__(self):
        self.names = {"": None}  # path -> File, or None: a folder
        self.handles = {}        # handle -> (File, flags)

    def copy(self):
        return copy.deepcopy(self)

    def files(self):
        return {name: file for name, file in self.names.items() if file is not None}

    def below(self, folder):
        prefix = folder + "/" if folder else ""
        return [n for n in self.names if n and n != folder and n.startswith(prefix) and "/" not in n[len(prefix):]]

    # Each of these raises OSError where the mount must, or changes the world and gives what the call gives.

    def run(self, op):
        return getattr(self, "do_" + op[0])(*op[1:])

    def _parent(self, name):
        parent = name.rpartition("/")[0]
        if self.names.get(parent, 0) is not None:
            raise OSError(errno.ENOENT, name)

    def do_open(self, handle, name, flags):
        self._parent(name)
        file = self.names.get(name, 0)
        if file is None:
            raise OSError(errno.EISDIR, name)
        if file == 0:
            if "c" not in flags and "x" not in flags:
                raise OSError(errno.ENOENT, name)
            file = self.names[name] = File()
        elif "x" in flags:
            raise OSError(errno.EEXIST, name)
        elif "t" in flags:
            file.change(b"", 0)
            file.tears = True  # who opens it so is about to write it anew
        self.handles[handle] = (file, flags)

    def do_write(self, handle, offset, size, tag):
        file, flags = self.handles[handle]
        offset = len(file.content) if "a" in flags else offset
        old = file.content.ljust(offset, b"\0")
        file.change(old[:offset] + data(size, tag) + old[offset + size:], offset)

    def do_ftruncate(self, handle, size):
        file, _ = self.handles[handle]
        file.content = file.content[:size].ljust(size, b"\0")
        file.acknowledge()

    def do_fsync(self, handle):
        self.handles[handle][0].acknowledge()

    def do_close(self, handle):
        file, flags = self.handles.pop(handle)
        if flags[0] != "r":
            file.acknowledge()

    def do_truncate(self, name, size):
        self._parent(name)
        file = self.names.get(name, 0)
        if not file:
            raise OSError(errno.ENOENT if file == 0 else errno.EISDIR, name)
        file.content = file.content[:size].ljust(size, b"\0")
        file.acknowledge()

    def do_rename(self, name, new):
        self._parent(name)
        self._parent(new)
        if name not in self.names:
            raise OSError(errno.ENOENT, name)
        if name == new:
            return
        file, target = self.names[name], self.names.get(new, 0)
        if file is None:
            if target not in (0, None):
                raise OSError(errno.ENOTDIR, new)
            if target is None and self.below(new):
                raise OSError(errno.ENOTEMPTY, new)
            # Of what GSS knows it is EXDEV, which is always an answer; what it does not know goes along.
            for child in self.below(name):
                self.names[new + child[len(name):]] = self.names.pop(child)
        elif target is None:
            raise OSError(errno.EISDIR, new)
        self.names[new] = self.names.pop(name)

    def do_unlink(self, name):
        self._parent(name)
        if name not in self.names:
            raise OSError(errno.ENOENT, name)
        if self.names[name] is None:
            raise OSError(errno.EISDIR, name)
        del self.names[name]

    def do_mkdir(self, name):
        self._parent(name)
        if name in self.names:
            raise OSError(errno.EEXIST, name)
        self.names[name] = None

    def do_rmdir(self, name):
        self._parent(name)
        if name not in self.names:
            raise OSError(errno.ENOENT, name)
        if self.names[name] is not None:
            raise OSError(errno.ENOTDIR, name)
        if self.below(name):
            raise OSError(errno.ENOTEMPTY, name)
        del self.names[name]

    def do_read(self, name):
        self._parent(name)
        file = self.names.get(name, 0)
        if not isinstance(file, File):
            raise OSError(errno.ENOENT if file == 0 else errno.EISDIR, name)
        return file.content

    def do_list(self, name):
        if self.names.get(name, 0) is not None:
            raise OSError(errno.ENOENT, name)
        return sorted(n.rpartition("/")[2] for n in self.below(name))


# What may have taken place although it failed.
UNSURE = {"fsync", "unlink", "mkdir", "rmdir", "rename"}
# EEXIST and ENOENT of a request that was sent twice because its answer was lost are not told to anybody: not here.


class Contradiction(AssertionError):
    pass


class Model:
    OPERATIONS = {name[3:] for name in dir(World) if name.startswith("do_")}

    def __init__(self):
        self.worlds = [World()]
        self.history = {}  # name -> set of contents (None: none) that the server may have of it while it is parked

    # ---- what was done ----

    def done(self, op, outcome, value=None):
        """`outcome`: "ok", an errno, or DIED."""
        worlds, reasons = [], []
        for world in self.worlds:
            after = world.copy()
            try:
                expected = after.run(op)
                code = 0
            except OSError as error:
                code, expected = error.errno, None
            if outcome == DIED:
                worlds += [world] if code else [world, after]
                if op[0] == "rename" and not code and after.names.get(op[2], 0) is None:
                    for half, empty in ((after.copy(), op[1]), (world.copy(), op[2])):
                        half.names[empty] = None
                        worlds.append(half)
                if op[0] in ("truncate", "ftruncate") and not code:
                    worlds += self._cut_off(world, op)
            elif outcome == "ok":
                if code == 0 and (expected is None or expected == value):
                    worlds.append(after)
                else:
                    reasons.append(errno.errorcode[code] if code else f"{_short(expected)} instead of {_short(value)}")
            elif outcome in PASSING and op[0] not in ("write", "close"):
                worlds.append(world)
                if code == 0 and op[0] in UNSURE:
                    worlds.append(after)
            elif outcome == code:
                worlds.append(world)
            elif outcome == errno.EXDEV and op[0] == "rename":
                worlds.append(world)
            else:
                reasons.append(f"{errno.errorcode[code] if code else 'ok'} instead of {errno.errorcode[outcome]}")
        if not worlds:
            raise Contradiction(f"{op}: {outcome}: expected {' or '.join(sorted(set(reasons)))}")
        self.worlds = _distinct(worlds)
        self._remember(op, outcome)

    @staticmethod
    def _cut_off(world, op):
        """A file that was not whole before is not made whole by half a truncate()."""
        between = world.copy()
        file = between.names[op[1]] if op[0] == "truncate" else between.handles[op[1]][0]
        if not file.changed or (file.acked is not None and not file.tears):
            return []
        file.content = file.content[:op[2]].ljust(op[2], b"\0")
        return [between]

    def _remember(self, op, outcome):
        if op[0] in ("read", "list", "write"):
            return
        for world in self.worlds:
            for name, file in world.files().items():
                if file.acked is not None:
                    self.history.setdefault(name, {None}).add(file.acked)
            for name in set(self.history) - set(world.names):
                self.history[name].add(None)
        if op[0] == "fsync" and outcome == "ok":
            for world in self.worlds:
                file = world.handles[op[1]][0]
                for name in [n for n, f in world.names.items() if f is file] if len(self.worlds) == 1 else []:
                    self.history[name] = {file.acked}

    # ---- what is there ----

    def recovered(self, seen):
        """After a crash and a new mount. `seen`: {path: None, a folder, or (content, state)}."""
        left = []
        reasons = []
        for world in self.worlds:
            reason = self._compare(world, seen)
            if reason is None:
                left.append(world)
            else:
                reasons.append(reason)
        if not left:
            raise Contradiction("after the crash: " + "\n  or: ".join(dict.fromkeys(reasons)))
        world = World()
        for name, what in seen.items():
            file = None
            if what is not None:
                file = File()
                file.content = what[0]
                if what[1] != "failed":  # it stays so until it is written anew
                    file.acknowledge()
            world.names[name] = file
        self.worlds = [world]

    @staticmethod
    def _compare(world, seen):
        for name, file in world.names.items():
            if name == "":
                continue
            if name not in seen:
                # Nothing of it is acknowledged.
                if file is None or file.acked is not None:
                    return f"{name} is gone: it was {file!r}"
            elif (seen[name] is None) != (file is None):
                return f"{name} is of another type"
            elif file is not None and not file.recovered_as(*seen[name]):
                content, state = seen[name]
                return f"{name} is {state}, {len(content)} bytes {_differs(content, file)}, not {file!r}"
        extra = sorted(set(seen) - set(world.names))
        return f"{extra[0]} is there: {_short(seen[extra[0]])}" if extra else None

    def drained(self, seen, parked):
        """All is sent. `seen`: the server's {path: None or content}; `parked`: names that are `failed` in the mount."""
        reasons = []
        for world in self.worlds:
            reason = self._on_server(world, seen, parked)
            if reason is None:
                self.history = {name: {what} for name, what in seen.items()}
                self.worlds = [world]
                return
            reasons.append(reason)
        raise Contradiction("on the server: " + "\n  or: ".join(dict.fromkeys(reasons)))

    def _on_server(self, world, seen, parked):
        copies = self._conflict_copies(world, seen)
        for name, file in world.names.items():
            if name and name not in parked:
                if name not in seen:
                    return f"{name} is missing: {file!r}"
                if (seen[name] is None) != (file is None):
                    return f"{name} is of another type"
                if file is not None and seen[name] != file.acked and name not in copies.values():
                    return f"{name} has {len(seen[name])} bytes {_differs(seen[name], file)}, not {file!r}"
        for name, content in seen.items():
            if name in parked and content not in self.history.get(name, {None}):
                return f"{name}, parked, has {_short(content)}: never a version of it"
            if name not in world.names and name not in copies and \
                    not (parked and content in self.history.get(name, ())):
                return f"{name} is there: {_short(content)}"
        for name in parked:
            if name not in seen and None not in self.history.get(name, {None}):
                return f"{name}, parked, is gone from the server"
        return None

    def _conflict_copies(self, world, seen):
        """Those of rule 5: {name: of what}."""
        copies = {}
        for name, content in seen.items():
            original, mark, _ = name.partition(".conflict-")
            file = world.names.get(original)
            if mark and file is not None and content == file.acked and len(content) > LARGE and \
                    seen.get(original) in self.history.get(original, ()):
                copies[name] = original
        return copies


def _short(value):
    if isinstance(value, tuple):
        return f"{value[1]}: {_short(value[0])}"
    return f"{len(value)} bytes {value[:24]!r}" if isinstance(value, bytes) else repr(value)


def _differs(content, file):
    other = file.acked if file.acked is not None else file.content
    at = next((i for i, (a, b) in enumerate(zip(content, other)) if a != b), min(len(content), len(other)))
    return f"(from {at} on: {content[at:at + 24]!r})"


def _distinct(worlds):
    """Worlds that look the same are one; too many are a fault of the test, not of what is tested."""
    found = {}
    for world in worlds:
        key = repr([(n, f and (f.content, f.acked, f.changed, f.tears)) for n, f in sorted(world.names.items())] +
                   [(h, f.content, f.acked, f.changed, [n for n, g in world.names.items() if g is f])
                    for h, (f, _) in sorted(world.handles.items())])
        found.setdefault(hash(key), world)
    assert len(found) <= WORLDS_MAX, "too many worlds are possible"
    return list(found.values())
