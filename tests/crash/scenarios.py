"""Scripts of operations for test_points.py: short, so that each of their crash points can be tried in a moment.

Besides the operations of model.py:

    settle NAME              wait until it is on the server
    hold METHOD WHEN N       the server holds the next N requests of METHOD: before, during or after its work
    cut METHOD WHEN N        it cuts their connections
    refuse METHOD N          it answers them with 503
    holding N                wait until N are held in total
    release                  it lets them go
    revoke                   all tokens are dead
    register LINE IMAGE NAME a line to .register, after which IMAGE is what file NAME is, or gone (NAME None)
    takeover                 unmount, and mount again while that drains
    ours NAME SIZE TAG       an edit of a file that a teammate edits, too (shared.py)
    theirs NAME SIZE TAG     the teammate's
    parted NAME              wait until there is a conflict copy of it on the server
"""


class Scenario:
    def __init__(self, name, *ops, seed=(), options=(), server=()):
        self.name = name
        self.ops = ops
        self.seed = dict(seed)  # what the server has before: name -> (size, tag)
        self.options = options
        self.server = server


def put(name, size, tag, flags="wct"):
    return ("open", 1, name, flags), ("write", 1, 0, size, tag), ("close", 1)


SCENARIOS = [
    Scenario("create",
             ("open", 1, "a", "wc"), ("write", 1, 0, 1000, "a1"), ("write", 1, 1000, 500, "a2"), ("close", 1),
             *put("empty", 0, "e"), ("settle", "a"), ("read", "a")),
    Scenario("rewrite",
             *put("a", 3000, "v1"), ("settle", "a"), *put("a", 2000, "v2", "wt"), *put("a", 2500, "v3", "wt"),
             ("settle", "a"), ("open", 1, "a", "wa"), ("write", 1, 0, 700, "app"), ("close", 1)),
    Scenario("twice",
             *put("a", 3000, "v1"), *put("a", 2000, "v2", "wt"), ("open", 1, "a", "+"), ("write", 1, 100, 50, "in"),
             ("close", 1), ("read", "a")),
    Scenario("patch",
             ("open", 1, "old", "+"), ("write", 1, 100, 200, "patch"), ("close", 1), ("settle", "old"),
             ("open", 1, "big", "w"), ("write", 1, 150000, 5000, "patch2"), ("close", 1), ("read", "big"),
             seed={"old": (1000, "seed"), "big": (400000, "seed2")}),
    Scenario("fsync",
             ("open", 1, "a", "wc"), ("write", 1, 0, 1000, "s1"), ("fsync", 1), ("write", 1, 1000, 1000, "s2"),
             ("fsync", 1), ("write", 1, 500, 100, "s3"), ("close", 1), ("open", 2, "a", "r"), ("fsync", 2),
             ("close", 2)),
    Scenario("fsync-local",
             ("open", 1, "a", "wc"), ("write", 1, 0, 1000, "s1"), ("fsync", 1), ("write", 1, 1000, 1000, "s2"),
             ("fsync", 1), ("close", 1), options=["fsync=local"]),
    Scenario("abort",  # written again while it is sent, until the upload is finished from a clone
             ("hold", "POST", "before", 1), *put("a", 200000, "v1"), ("holding", 1),
             *put("a", 201000, "v2", "w"), ("release",), ("settle", "a"),
             ("hold", "PUT", "before", 1), *put("a", 202000, "v3", "w"), ("holding", 2), *put("a", 203000, "v4", "w"),
             ("release",), ("settle", "a")),
    Scenario("clone",  # so large that the sockets do not take it whole
             *put("a", 100, "v0"), ("settle", "a"), ("hold", "PUT", "before", 1),
             *put("a", 9000000, "v1", "w"), ("holding", 1), ("hold", "PUT", "before", 1),
             ("open", 1, "a", "w"), ("write", 1, 10, 10, "x1"), ("close", 1), ("holding", 2),
             ("hold", "PUT", "before", 1),
             ("open", 1, "a", "w"), ("write", 1, 50, 10, "x2"), ("close", 1), ("holding", 3),
             ("open", 1, "a", "w"), ("write", 1, 90, 10, "x3"), ("close", 1),
             ("open", 1, "a", "w"), ("write", 1, 130, 10, "x4"), ("write", 1, 140, 10, "x5"), ("close", 1),
             ("release",), ("settle", "a")),
    Scenario("abort-large",
             ("hold", "POST", "before", 1), *put("a", 9000000, "v1", "wc"), ("holding", 1),
             ("open", 1, "a", "w"), ("write", 1, 10, 10, "x1"), ("close", 1), ("release",), ("settle", "a")),
    Scenario("rename",
             *put("a", 1000, "r1"), ("rename", "a", "b"), ("settle", "b"), ("rename", "b", "c"), ("settle", "c"),
             ("rename", "c", "b"), ("rename", "b", "c"), ("settle", "c")),
    Scenario("rename-old",  # what is on the server only is fetched for it
             ("rename", "old", "new"), ("rename", "new", "newer"), ("read", "newer"),
             seed={"old": (5000, "seed")}),
    Scenario("rename-over",
             *put("doc", 1000, "d1"), ("settle", "doc"), *put("doc.tmp", 2000, "d2"), ("rename", "doc.tmp", "doc"),
             ("settle", "doc"), *put("doc.tmp", 1500, "d3"), ("settle", "doc.tmp"), ("rename", "doc.tmp", "doc"),
             ("rename", "doc", "doc~"), *put("doc", 800, "d4"), ("settle", "doc")),
    Scenario("rename-sending",
             ("hold", "POST", "after", 1), *put("a", 1000, "r1"), ("holding", 1), ("rename", "a", "b"),
             ("release",), ("settle", "b"), ("hold", "PUT", "before", 1), *put("b", 1100, "r2", "w"), ("holding", 2),
             ("rename", "b", "c"), ("release",), ("settle", "c")),
    Scenario("rename-back",  # while it is sent
             ("hold", "POST", "after", 1), *put("a", 1000, "r1"), ("holding", 1), ("rename", "a", "b"),
             ("rename", "b", "a"), ("release",), ("settle", "a"), ("hold", "PUT", "after", 1),
             *put("a", 1100, "r2", "w"), ("holding", 2), ("rename", "a", "b"), ("rename", "b", "a"), ("release",),
             ("settle", "a"), ("read", "a")),
    Scenario("rename-chain",  # over what is there, and on while that is being replaced
             *put("a", 1000, "r1"), *put("b", 1100, "r2"), ("settle", "a"), ("settle", "b"),
             ("hold", "PUT", "after", 1), ("rename", "a", "b"), ("holding", 1), ("rename", "b", "c"), ("release",),
             ("settle", "c"), *put("b", 1200, "r3"), ("settle", "b"),
             ("hold", "PUT", "before", 1), ("rename", "c", "b"), ("holding", 2), ("rename", "b", "a"), ("release",),
             ("settle", "a")),
    Scenario("rename-written",
             *put("a", 1000, "r1"), ("settle", "a"), ("open", 1, "a", "+"), ("write", 1, 1000, 100, "x"),
             ("rename", "a", "b"), ("write", 1, 1100, 100, "y"), ("close", 1), ("settle", "b"),
             ("open", 1, "b", "wa"), ("write", 1, 0, 50, "z"), ("rename", "b", "a"), ("close", 1)),
    Scenario("unlink",
             *put("a", 1000, "u1"), ("unlink", "a"), *put("a", 1100, "u2"), ("settle", "a"), ("unlink", "a"),
             *put("a", 1200, "u3"), ("settle", "a"), *put("a", 1300, "u4", "wt"), ("unlink", "a"), ("unlink", "old"),
             ("list", ""), seed={"old": (100, "seed")}),
    Scenario("unlink-open",
             ("open", 1, "old", "r"), ("unlink", "old"), ("close", 1), *put("a", 1000, "u1"), ("settle", "a"),
             ("open", 2, "a", "+"), ("write", 2, 500, 600, "u2"), ("unlink", "a"), ("write", 2, 0, 100, "u3"),
             *put("b", 10, "b"), ("close", 2), *put("a", 900, "u4"),
             seed={"old": (3000, "seed")}),
    Scenario("unlink-sending",
             ("hold", "POST", "after", 1), *put("a", 1000, "u1"), ("holding", 1), ("release",), ("unlink", "a"),
             *put("a", 1100, "u2"), ("settle", "a"), ("hold", "PUT", "during", 1), *put("a", 100200, "u3", "wt"),
             ("holding", 2), ("release",), ("unlink", "a")),
    Scenario("truncate",
             *put("a", 5000, "t1"), ("truncate", "a", 3000), ("settle", "a"), ("truncate", "a", 1000),
             ("truncate", "a", 6000), ("settle", "a"), ("open", 1, "a", "+"), ("write", 1, 6000, 500, "t2"),
             ("ftruncate", 1, 6200), ("write", 1, 6200, 300, "t3"), ("ftruncate", 1, 100), ("write", 1, 0, 50, "t4"),
             ("ftruncate", 1, 40), ("close", 1), ("truncate", "a", 0), ("truncate", "old", 900), ("truncate", "old", 0),
             seed={"old": (2000, "seed")}),
    Scenario("truncate-open",
             ("open", 1, "old", "wt"), ("write", 1, 0, 10, "n"), ("close", 1), ("open", 1, "big", "+"),
             ("ftruncate", 1, 100000), ("write", 1, 100100, 10, "n"), ("close", 1), ("settle", "big"),
             ("open", 1, "old", "wt"), ("close", 1),
             seed={"old": (2000, "seed"), "big": (300000, "seed2")}),
    Scenario("truncate-sending",
             ("hold", "POST", "during", 1), *put("a", 100000, "t1"), ("holding", 1), ("truncate", "a", 50000),
             ("release",), ("settle", "a"), ("hold", "PUT", "during", 1), *put("a", 90000, "t2", "w"), ("holding", 2),
             ("truncate", "a", 0), ("release",), *put("a", 20, "t3", "w")),
    Scenario("folders",
             ("mkdir", "d"), *put("d/a", 500, "f1"), ("mkdir", "d/e"), ("rename", "d/e", "e"), ("rmdir", "e"),
             ("settle", "d/a"), ("rename", "d/a", "a"), ("rmdir", "d"), ("mkdir", "x"), ("rename", "x", "y"),
             *put("y/b", 300, "f2"), ("mkdir", "z"), ("rename", "y/b", "z/b"), ("rmdir", "y")),
    Scenario("lost-answers",
             ("cut", "POST", "after", 2), *put("a", 1000, "l1"), ("settle", "a"),
             ("cut", "PUT", "after", 1), *put("a", 1500, "l2", "wt"), ("settle", "a"),
             ("cut", "DELETE", "after", 1), ("unlink", "a"),
             ("cut", "POST", "during", 1), *put("b", 1000, "l3")),
    Scenario("refused",
             ("refuse", "POST", 1), *put("a", 1000, "l1"), ("settle", "a"), ("refuse", "PUT", 1),
             *put("a", 1500, "l2", "wt"), ("refuse", "DELETE", 1), ("rename", "a", "b"), ("settle", "b"),
             server=["--error-rate", "0"]),
    Scenario("tokens",
             *put("a", 1000, "k1"), ("settle", "a"), ("revoke",), *put("a", 1500, "k2", "wt"), ("revoke",),
             ("rename", "a", "b"), ("settle", "b"), ("revoke",), ("unlink", "b")),
    Scenario("eviction",
             ("read", "one"), ("read", "two"), ("read", "three"), *put("a", 200000, "e1"), ("settle", "a"),
             ("read", "one"), *put("two", 100, "e2", "w"), ("settle", "two"),
             seed={n: (150000, n) for n in ("one", "two", "three")}, options=["cache_size=256K"]),
    Scenario("register",
             *put("a", 1000, "g1"), ("register", "a a.simg", "a.simg", "a"), *put("a", 1500, "g2", "wt"),
             ("register", "update a a.simg", "a.simg", "a"), ("register", "remove a.simg", "a.simg", None),
             *put("b", 1200, "g3"), ("register", "b b.simg", "b.simg", "b"),
             options=["register_timeout=2"]),
    Scenario("conflict",
             ("refuse", "P*", 1000), ("ours", "t0", 2000, "o1"), ("theirs", "t0", 2500, "m1"), ("reset",),
             ("parted", "t0"), ("ours", "t0", 1500, "o2"),
             ("refuse", "P*", 1000), ("ours", "t1", 800, "o3"), ("theirs", "t1", 900, "m2"), ("reset",), ("parted", "t1"),
             ("read", "b"), seed={"b": (10, "b")}),
    Scenario("takeover",
             ("hold", "POST", "during", 1), *put("a", 200000, "q1"), *put("b", 100, "q2"), ("takeover",),
             ("release",), ("settle", "a"), ("rename", "a", "c"), ("takeover",), ("read", "c")),
]
