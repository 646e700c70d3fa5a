#include "fs/notify.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Inodes at which the kernel may be waited for at a time. */
#define THREADS_MAX 64
/* Beyond this many waiting notifications those of names, which time cures (a second), are dropped.
 * Contents are always told; they are at most one for each file whose pages the kernel has. */
#define WAITING_MAX 65536

#define CONTENT "" /* what is no name of an entry */

typedef struct {
	char *name; /* of an entry, or CONTENT */
	guint64 offset;
	/* Not a notification: who waits for those before it. */
	void (*settled)(void *data);
	void *data;
} Item;

/* What is to be told of one inode; there while something is, or is being told. */
typedef struct {
	uint64_t ino;
	GQueue queue;      /* Item */
	GHashTable *items; /* name -> Item, those of the queue */
} Lane;

struct FsNotifier {
	GMutex lock;
	GHashTable *lanes; /* ino (gint64) -> Lane, each given to the pool */
	guint waiting;     /* notifications in all of them */
	GThreadPool *pool; /* NULL: not running */
	struct fuse_session *session;
};

static void item_free(Item *item)
{
	g_free(item->name);
	g_free(item);
}

static void lane_free(Lane *lane)
{
	g_hash_table_unref(lane->items);
	g_free(lane);
}

FsNotifier *fs_notifier_new(void)
{
	FsNotifier *notifier = g_new0(FsNotifier, 1);
	g_mutex_init(&notifier->lock);
	notifier->lanes = g_hash_table_new(g_int64_hash, g_int64_equal);
	return notifier;
}

/* ENOENT: the kernel has no such thing cached, or nobody polls it any more, which is as well. */
static void report(int result)
{
	if (result != 0 && result != -ENOENT)
		g_debug("notifying the kernel: %s", g_strerror(-result));
}

static void tell(struct fuse_session *session, uint64_t ino, const Item *item)
{
	if (*item->name != '\0')
		report(fuse_lowlevel_notify_inval_entry(session, ino, item->name,
		                                        strlen(item->name)));
	else
		report(fuse_lowlevel_notify_inval_inode(session, ino, (off_t)item->offset, 0));
}

static void run(void *data, void *user_data)
{
	Lane *lane = data;
	FsNotifier *notifier = user_data;
	Item *item;

	g_mutex_lock(&notifier->lock);
	while ((item = g_queue_pop_head(&lane->queue)) != NULL) {
		bool tells = item->settled == NULL;
		if (tells) {
			g_hash_table_remove(lane->items, item->name);
			notifier->waiting--;
			tells = notifier->pool != NULL;
		}
		g_mutex_unlock(&notifier->lock);
		if (tells)
			tell(notifier->session, lane->ino, item);
		else if (item->settled != NULL)
			item->settled(item->data);
		item_free(item);
		g_mutex_lock(&notifier->lock);
	}
	g_hash_table_remove(notifier->lanes, &lane->ino);
	g_mutex_unlock(&notifier->lock);
	lane_free(lane);
}

void fs_notifier_start(FsNotifier *notifier, struct fuse_session *session)
{
	g_mutex_lock(&notifier->lock);
	notifier->session = session;
	notifier->pool = g_thread_pool_new(run, notifier, THREADS_MAX, FALSE, NULL);
	g_mutex_unlock(&notifier->lock);
}

void fs_notifier_stop(FsNotifier *notifier)
{
	g_mutex_lock(&notifier->lock);
	GThreadPool *pool = g_steal_pointer(&notifier->pool);
	g_mutex_unlock(&notifier->lock);
	if (pool != NULL)
		g_thread_pool_free(pool, FALSE, TRUE);
}

void fs_notifier_free(FsNotifier *notifier)
{
	fs_notifier_stop(notifier);
	g_hash_table_unref(notifier->lanes);
	g_mutex_clear(&notifier->lock);
	g_free(notifier);
}

static Lane *lane_new_locked(FsNotifier *notifier, uint64_t ino)
{
	Lane *lane = g_new0(Lane, 1);

	lane->ino = ino;
	lane->items = g_hash_table_new(g_str_hash, g_str_equal);
	g_hash_table_insert(notifier->lanes, &lane->ino, lane);
	/* It finds what is to be told when we unlock. */
	g_thread_pool_push(notifier->pool, lane, NULL);
	return lane;
}

static void add(FsNotifier *notifier, uint64_t ino, const char *name, guint64 offset)
{
	g_mutex_lock(&notifier->lock);
	Lane *lane = g_hash_table_lookup(notifier->lanes, &ino);
	Item *known = lane != NULL ? g_hash_table_lookup(lane->items, name) : NULL;
	if (known != NULL) {
		known->offset = MIN(known->offset, offset);
	} else if (notifier->pool != NULL && (notifier->waiting < WAITING_MAX || *name == '\0')) {
		Item *item = g_new0(Item, 1);
		item->name = g_strdup(name);
		item->offset = offset;
		if (lane == NULL)
			lane = lane_new_locked(notifier, ino);
		g_queue_push_tail(&lane->queue, item);
		g_hash_table_insert(lane->items, item->name, item);
		notifier->waiting++;
	}
	g_mutex_unlock(&notifier->lock);
}

void fs_notifier_content(FsNotifier *notifier, uint64_t ino, guint64 offset)
{
	add(notifier, ino, CONTENT, offset);
}

void fs_notifier_entry(FsNotifier *notifier, uint64_t parent, const char *name)
{
	add(notifier, parent, name, 0);
}

void fs_notifier_settled(FsNotifier *notifier, uint64_t ino, void (*settled)(void *data),
                         void *data)
{
	g_mutex_lock(&notifier->lock);
	Lane *lane = g_hash_table_lookup(notifier->lanes, &ino);
	if (lane != NULL) {
		Item *item = g_new0(Item, 1);
		item->settled = settled;
		item->data = data;
		g_queue_push_tail(&lane->queue, item);
	}
	g_mutex_unlock(&notifier->lock);
	if (lane == NULL)
		settled(data);
}

void fs_notifier_attributes(FsNotifier *notifier, uint64_t ino)
{
	g_mutex_lock(&notifier->lock); /* so long there is a session */
	if (notifier->pool != NULL)
		report(fuse_lowlevel_notify_inval_inode(notifier->session, ino, -1, 0));
	g_mutex_unlock(&notifier->lock);
}

void fs_notifier_poll(FsNotifier *notifier, struct fuse_pollhandle *handle)
{
	g_mutex_lock(&notifier->lock);
	if (notifier->pool != NULL)
		report(fuse_lowlevel_notify_poll(handle));
	g_mutex_unlock(&notifier->lock);
	fuse_pollhandle_destroy(handle);
}
