#include "fs/source.h"

#include <errno.h>
#include <string.h>

#define COMPONENTS_MAX 256

typedef struct {
	FsMount *mount;
	FsFolder at;     /* where we are; storage NULL: the virtual root */
	bool referenced; /* the node is from a lookup of ours */
	char **names;
	guint next;
	bool folders; /* may be found */
	FsSourceCallback callback;
	void *data;
} Walk;

static void leave(Walk *walk)
{
	if (walk->referenced)
		cache_forget(walk->at.storage->cache, walk->at.id, 1);
	walk->referenced = false;
}

static void end(Walk *walk, const CacheAttr *attr, const GError *error)
{
	if (error != NULL)
		leave(walk);
	walk->callback(error == NULL ? walk->at.storage : NULL, attr, error, walk->data);
	g_strfreev(walk->names);
	g_free(walk);
}

static void fail(Walk *walk, int code, const char *message)
{
	g_autoptr(GError) error = g_error_new_literal(CACHE_ERROR, code, message);
	end(walk, NULL, error);
}

/* False: there is nothing above. */
static bool go_up(Walk *walk)
{
	if (walk->at.storage == NULL)
		return false;
	CacheId id = walk->at.id;
	Cache *cache = walk->at.storage->cache;
	if (id == walk->at.storage->root) {
		leave(walk);
		walk->at = (FsFolder){0};
		return walk->mount->options.all;
	}
	CacheId parent = cache_parent(cache, id);
	if (parent == 0)
		return false;
	leave(walk);
	walk->at.id = parent;
	return true;
}

static void step(Walk *walk);

/* A folder that was not looked up: where the walk began, or went up to. */
static void on_folder(const CacheAttr *attr, const GError *error, void *data)
{
	end(data, attr, error);
}

static void end_in_folder(Walk *walk)
{
	if (!walk->folders)
		fail(walk, EISDIR, "the source is a folder, not an image");
	else if (walk->at.storage == NULL)
		end(walk, NULL, NULL);
	else if (!walk->referenced && !cache_hold(walk->at.storage->cache, walk->at.id))
		fail(walk, ENOENT, "the folder is gone");
	else {
		walk->referenced = true;
		cache_getattr(walk->at.storage->cache, walk->at.id, on_folder, walk);
	}
}

static void on_found(const CacheAttr *attr, const GError *error, void *data)
{
	Walk *walk = data;

	if (error != NULL) {
		end(walk, NULL, error);
		return;
	}
	leave(walk);
	walk->at.id = attr->id;
	walk->referenced = true;
	bool last = walk->names[walk->next] == NULL;
	if (last && attr->folder && !walk->folders)
		fail(walk, EISDIR, "the source is a folder, not an image");
	else if (last)
		end(walk, attr, NULL);
	else
		step(walk);
}

static void step(Walk *walk)
{
	const char *name;

	while ((name = walk->names[walk->next]) != NULL) {
		walk->next++;
		if (*name == '\0' || strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			if (!go_up(walk)) {
				fail(walk, EINVAL, "the source is outside of the mount");
				return;
			}
			continue;
		}
		if (walk->at.storage != NULL) {
			cache_lookup(walk->at.storage->cache, walk->at.id, name, on_found, walk);
			return;
		}
		FsStorage *storage = fs_mount_find(walk->mount, name);
		if (storage == NULL) {
			fail(walk, ENOENT, "there is no storage of that name");
			return;
		}
		walk->at = (FsFolder){storage, storage->root};
	}
	end_in_folder(walk);
}

static void on_uri(const CacheAttr *attr, const GError *error, void *data)
{
	Walk *walk = data;

	if (error == NULL) {
		walk->at.id = attr->id;
		walk->referenced = true;
		if (attr->folder && !walk->folders) {
			fail(walk, EISDIR, "the source is a folder, not an image");
			return;
		}
	}
	end(walk, attr, error);
}

static void find_uri(Walk *walk, const char *uri, gsize backend)
{
	g_autofree char *name = g_strndup(uri, backend);

	walk->at = (FsFolder){.storage = fs_mount_find(walk->mount, name)};
	if (walk->at.storage == NULL)
		fail(walk, EINVAL, "the source is on a storage that this mount does not show");
	else
		cache_find_uri(walk->at.storage->cache, uri, on_uri, walk);
}

void fs_source_find(FsMount *mount, const FsFolder *folder, const char *source, bool folders,
                    FsSourceCallback callback, void *data)
{
	Walk *walk = g_new0(Walk, 1);
	const char *backend_end = strstr(source, "://");

	*walk = (Walk){.mount = mount,
	               .at = *folder,
	               .folders = folders,
	               .callback = callback,
	               .data = data};
	if (backend_end != NULL && memchr(source, '/', (gsize)(backend_end - source)) == NULL) {
		find_uri(walk, source, (gsize)(backend_end - source));
		return;
	}
	walk->names = g_strsplit(source, "/", -1);
	if (*source == '/')
		fail(walk, EINVAL,
		     "the source is a path of this computer; give one relative to the folder of "
		     "the control file, or a full GSS URI");
	else if (g_strv_length(walk->names) > COMPONENTS_MAX)
		fail(walk, ENAMETOOLONG, "the path of the source is too long");
	else
		step(walk);
}
