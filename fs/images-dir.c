#include "fs/images-dir.h"

#include "fs/control.h"
#include "fs/entries.h"
#include "fs/field.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define LEASE_US (10 * G_USEC_PER_SEC)
#define NAME_BYTES_MAX 255
#define XATTR_SIZE "user.gss.image_size"

/* A listing, not changed once it is made. */
typedef struct {
	gatomicrefcount references;
	GHashTable *by_name; /* name -> Image */
	GPtrArray *images;   /* Image */
} Listing;

typedef struct {
	char *name, *date;
	gint64 size, mtime; /* as FsImage */
} Image;

typedef void (*ListingFunc)(Listing *listing, const GError *error, void *data);

typedef struct {
	ListingFunc func;
	void *data;
	bool late; /* came when the question under way was outdated */
} Waiter;

struct FsImageList {
	GMutex lock;
	Listing *listing; /* the last; NULL: none, or not to be believed */
	gint64 until;     /* monotonic us */
	GSList *waiters;  /* of the question under way */
	bool asking;
	bool outdated; /* the question under way began before something changed */
};

/* --- the list --- */

static void image_free(void *data)
{
	Image *image = data;

	g_free(image->name);
	g_free(image->date);
	g_free(image);
}

static void listing_unref(Listing *listing)
{
	if (listing == NULL || !g_atomic_ref_count_dec(&listing->references))
		return;
	g_hash_table_unref(listing->by_name);
	g_ptr_array_unref(listing->images);
	g_free(listing);
}

static Listing *listing_ref(Listing *listing)
{
	g_atomic_ref_count_inc(&listing->references);
	return listing;
}

/* Foreign bytes: only what can be a name in a folder is shown. */
static bool is_name(const char *name)
{
	if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strlen(name) > NAME_BYTES_MAX || !g_utf8_validate(name, -1, NULL))
		return false;
	for (const char *p = name; *p != '\0'; p++) {
		if ((guchar)*p < ' ' || *p == 0x7f || *p == '/')
			return false;
	}
	return true;
}

static Listing *listing_new(const FsImage *images, guint count)
{
	Listing *listing = g_new0(Listing, 1);

	g_atomic_ref_count_init(&listing->references);
	listing->by_name = g_hash_table_new(g_str_hash, g_str_equal);
	listing->images = g_ptr_array_new_with_free_func(image_free);
	for (guint i = 0; i < count; i++) {
		if (!is_name(images[i].name) ||
		    g_hash_table_contains(listing->by_name, images[i].name))
			continue;
		Image *image = g_new(Image, 1);
		*image = (Image){g_strdup(images[i].name), g_strdup(images[i].date), images[i].size,
		                 images[i].mtime};
		g_ptr_array_add(listing->images, image);
		g_hash_table_insert(listing->by_name, image->name, image);
	}
	return listing;
}

FsImageList *fs_image_list_new(void)
{
	FsImageList *list = g_new0(FsImageList, 1);

	g_mutex_init(&list->lock);
	return list;
}

void fs_image_list_free(FsImageList *list)
{
	listing_unref(list->listing);
	g_mutex_clear(&list->lock);
	g_free(list);
}

void fs_image_list_forget(FsImageList *list)
{
	g_mutex_lock(&list->lock);
	g_clear_pointer(&list->listing, listing_unref);
	list->outdated = list->asking;
	g_mutex_unlock(&list->lock);
}

/* Those whom this answer serves, in the order in which they came; the others stay. */
static GSList *take_waiters_locked(FsImageList *list, const GError *error)
{
	GSList *served = NULL, *left = NULL;

	for (GSList *link = list->waiters, *next; link != NULL; link = next) {
		Waiter *waiter = link->data;
		GSList **to = waiter->late && error == NULL ? &left : &served;
		next = link->next;
		waiter->late = false;
		link->next = *to;
		*to = link;
	}
	list->waiters = g_slist_reverse(left);
	return served;
}

static void on_list(const FsImage *images, guint count, const GError *error, void *data)
{
	const FsStorage *storage = data;
	FsImageList *list = storage->image_list;
	Listing *listing = error == NULL ? listing_new(images, count) : NULL;

	g_mutex_lock(&list->lock);
	GSList *waiters = take_waiters_locked(list, error);
	bool again = list->waiters != NULL;
	list->asking = again;
	if (listing != NULL && !list->outdated) {
		listing_unref(list->listing);
		list->listing = listing_ref(listing);
		list->until = g_get_monotonic_time() + LEASE_US;
	}
	list->outdated = false;
	g_mutex_unlock(&list->lock);
	for (GSList *link = waiters; link != NULL; link = link->next) {
		const Waiter *waiter = link->data;
		waiter->func(listing, error, waiter->data);
	}
	g_slist_free_full(waiters, g_free);
	listing_unref(listing);
	if (again)
		storage->images->list(storage->images->images, on_list, data);
}

/* `func` gets a listing that is its own only for the call. `known`: what was said lately will do.
 */
static void get_listing(FsStorage *storage, bool known, ListingFunc func, void *data)
{
	FsImageList *list = storage->image_list;
	Listing *listing = NULL;
	bool ask = false;

	g_mutex_lock(&list->lock);
	if (known && list->listing != NULL && g_get_monotonic_time() < list->until) {
		listing = listing_ref(list->listing);
	} else {
		Waiter *waiter = g_new(Waiter, 1);
		*waiter = (Waiter){func, data, list->outdated};
		list->waiters = g_slist_prepend(list->waiters, waiter);
		ask = !list->asking;
		list->asking = true;
	}
	g_mutex_unlock(&list->lock);
	if (listing != NULL)
		func(listing, NULL, data);
	else if (ask)
		storage->images->list(storage->images->images, on_list, storage);
	listing_unref(listing);
}

bool fs_images_dir_exists(const FsStorage *storage)
{
	return storage != NULL && storage->images != NULL &&
	       storage->images->exists(storage->images->images);
}

/* --- an image's file --- */

static void show_line(GString *text, const char *key, const char *value)
{
	fs_field_text(text, key);
	fs_field_text(text, value);
	g_string_append_c(text, '\n');
}

static GString *describe(const Image *image)
{
	g_autofree char *size =
		image->size >= 0 ? g_strdup_printf("%" G_GINT64_FORMAT, image->size) : NULL;
	GString *text = g_string_new(NULL);

	show_line(text, "name", image->name);
	show_line(text, "size", size);
	show_line(text, "date", image->date);
	return text;
}

typedef struct {
	FsControl base;
	char *text;
} Record;

static GString *show(FsControl *control)
{
	return g_string_new(((Record *)control)->text);
}

static void record_free(FsControl *control)
{
	g_free(((Record *)control)->text);
}

static void image_open(FsVirtual *node, FsReply *reply, struct fuse_file_info *fi)
{
	static const FsControlClass class = {.show = show, .free = record_free};

	if ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC) != 0) {
		fs_reply_err(reply, EPERM);
		return;
	}
	Record *record = fs_control_new(reply->mount, sizeof(Record), &class, node);
	record->text = g_string_free(describe(node->data), FALSE);
	fs_reply_open(reply, &record->base.base, fi);
}

static void image_attr(const FsVirtual *node, struct stat *ret)
{
	const Image *image = node->data;
	GString *text = describe(image);

	ret->st_size = (off_t)text->len;
	ret->st_blocks = (blkcnt_t)((text->len + 511) / 512);
	g_string_free(text, TRUE);
	/* An unknown date is none, not today. */
	gint64 mtime = MAX(image->mtime, 0);
	ret->st_mtim =
		(struct timespec){.tv_sec = mtime / 1000000000, .tv_nsec = mtime % 1000000000};
	ret->st_atim = ret->st_ctim = ret->st_mtim;
}

static char *image_xattr(const FsVirtual *node, const char *name)
{
	const Image *image = node->data;

	if (strcmp(name, XATTR_SIZE) != 0 || image->size < 0)
		return NULL;
	return g_strdup_printf("%" G_GINT64_FORMAT, image->size);
}

static const FsVirtualClass image_class = {
	.name = "",
	.mode = S_IFREG | 0444,
	.xattr_name = XATTR_SIZE,
	.open = image_open,
	.read = fs_control_read,
	.write = fs_control_write,
	.flush = fs_control_flush,
	.attr = image_attr,
	.xattr = image_xattr,
	.free = image_free,
};

/* --- the folder --- */

typedef struct {
	FsReply *reply;
	FsFolder folder;
	char *name; /* to be looked up */
	struct fuse_file_info fi;
} Request;

typedef struct {
	FsHandle base;
	FsFolder folder; /* in which this one is */
	Listing *listing;
} Dir;

static char *path_of(const char *name)
{
	return g_strconcat(FS_IMAGES_NAME "/", name, NULL);
}

static void request_free(Request *request)
{
	g_free(request->name);
	g_free(request);
}

static void on_lookup(Listing *listing, const GError *error, void *data)
{
	Request *request = data;
	const Image *image =
		listing != NULL ? g_hash_table_lookup(listing->by_name, request->name) : NULL;

	if (error != NULL) {
		fs_reply_error(request->reply, error);
	} else if (image == NULL) {
		fs_reply_err(request->reply, ENOENT);
	} else {
		Image *copy = g_new(Image, 1);
		*copy = (Image){g_strdup(image->name), g_strdup(image->date), image->size,
		                image->mtime};
		g_autofree char *path = path_of(image->name);
		fs_virtual_answer(&image_class, &request->folder, path, copy, request->reply);
	}
	request_free(request);
}

static void images_lookup(const FsVirtual *node, const char *name, FsReply *reply)
{
	FsStorage *storage = node->folder.storage;

	if (!fs_reply_wait(reply))
		return;
	Request *request = g_new0(Request, 1);
	*request = (Request){.reply = reply, .folder = node->folder, .name = g_strdup(name)};
	get_listing(storage, true, on_lookup, request);
}

static void dir_free(FsHandle *handle)
{
	listing_unref(((Dir *)handle)->listing);
	g_free(handle);
}

static void on_open(Listing *listing, const GError *error, void *data)
{
	Request *request = data;

	if (error != NULL) {
		fs_reply_error(request->reply, error);
	} else {
		Dir *dir = fs_handle_new(request->reply->mount, sizeof(Dir), dir_free);
		dir->folder = request->folder;
		dir->listing = listing_ref(listing);
		fs_reply_open(request->reply, &dir->base, &request->fi);
	}
	request_free(request);
}

/* Here and not when it is read: opendir() can tell why it fails. */
static void images_opendir(const FsVirtual *node, FsReply *reply, struct fuse_file_info *fi)
{
	FsStorage *storage = node->folder.storage;

	if (!fs_reply_wait(reply))
		return;
	Request *request = g_new0(Request, 1);
	*request = (Request){.reply = reply, .folder = node->folder, .fi = *fi};
	get_listing(storage, false, on_open, request);
}

static void images_readdir(FsHandle *handle, FsReply *reply, guint64 offset, gsize size)
{
	const FsFolder *folder = &((Dir *)handle)->folder;
	const GPtrArray *images = ((Dir *)handle)->listing->images;
	FsEntries entries;

	fs_entries_init(&entries, reply, size, offset);
	fs_entries_add(&entries, ".", fs_virtual_ino(folder, FS_IMAGES_NAME), true);
	fs_entries_add(&entries, "..", fs_mount_ino(folder->storage, folder->id), true);
	for (guint i = 0; i < images->len && !entries.full; i++) {
		const Image *image = images->pdata[i];
		g_autofree char *path = path_of(image->name);
		fs_entries_add(&entries, image->name, fs_virtual_ino(folder, path), false);
	}
	fs_entries_send(&entries);
}

const FsVirtualClass fs_images_dir_class = {
	.name = FS_IMAGES_NAME,
	.mode = S_IFDIR | 0555,
	.lookup = images_lookup,
	.opendir = images_opendir,
	.readdir = images_readdir,
};
