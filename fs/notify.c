#include "fs/notify.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Beyond this many waiting notifications those that time cures (attributes, names: a second) are
 * dropped. Contents are always told; they are at most one for each file whose pages the kernel has.
 */
#define WAITING_MAX 65536

typedef struct {
	uint64_t ino; /* or the parent's */
	char *name;   /* NULL: an inode's */
	gint64 offset;
	gint64 length; /* 0: to the end; -1: attributes only */
	/* Not a notification: who waits for those before it. */
	void (*settled)(void *data);
	void *data;
} Item;

struct FsNotifier {
	GMutex lock;
	GCond wake;
	GQueue queue;      /* Item */
	GHashTable *items; /* Item as its own key; those in the queue */
	GQueue polls;      /* struct fuse_pollhandle */
	struct fuse_session *session;
	GThread *thread; /* NULL: not running */
	bool stopping;
};

static guint item_hash(gconstpointer key)
{
	const Item *item = key;
	gint64 ino = (gint64)item->ino;
	return g_int64_hash(&ino) ^ (item->name != NULL ? g_str_hash(item->name) : 0);
}

static gboolean item_equal(gconstpointer a, gconstpointer b)
{
	const Item *x = a, *y = b;
	return x->ino == y->ino && g_strcmp0(x->name, y->name) == 0;
}

static void item_free(void *data)
{
	Item *item = data;
	g_free(item->name);
	g_free(item);
}

FsNotifier *fs_notifier_new(void)
{
	FsNotifier *notifier = g_new0(FsNotifier, 1);
	g_mutex_init(&notifier->lock);
	g_cond_init(&notifier->wake);
	notifier->items = g_hash_table_new(item_hash, item_equal);
	return notifier;
}

static void tell(struct fuse_session *session, const Item *item)
{
	int result;

	if (item->settled != NULL) {
		item->settled(item->data);
		return;
	}
	if (item->name != NULL)
		result = fuse_lowlevel_notify_inval_entry(session, item->ino, item->name,
		                                          strlen(item->name));
	else
		result = fuse_lowlevel_notify_inval_inode(session, item->ino,
		                                          item->length < 0 ? -1 : item->offset,
		                                          item->length < 0 ? 0 : item->length);
	/* ENOENT: the kernel has no such thing cached, which is as well. */
	if (result != 0 && result != -ENOENT)
		g_debug("notifying the kernel: %s", g_strerror(-result));
}

static void wake(struct fuse_pollhandle *handle)
{
	int result = fuse_lowlevel_notify_poll(handle);

	/* ENOENT: nobody polls it any more. */
	if (result != 0 && result != -ENOENT)
		g_debug("notifying the kernel: %s", g_strerror(-result));
	fuse_pollhandle_destroy(handle);
}

static void poll_free(void *handle)
{
	fuse_pollhandle_destroy(handle);
}

static gpointer run(gpointer data)
{
	FsNotifier *notifier = data;

	g_mutex_lock(&notifier->lock);
	for (;;) {
		while (!notifier->stopping && g_queue_is_empty(&notifier->queue) &&
		       g_queue_is_empty(&notifier->polls))
			g_cond_wait(&notifier->wake, &notifier->lock);
		if (notifier->stopping)
			break;
		/* First, for it never blocks. */
		struct fuse_pollhandle *poll = g_queue_pop_head(&notifier->polls);
		if (poll != NULL) {
			g_mutex_unlock(&notifier->lock);
			wake(poll);
			g_mutex_lock(&notifier->lock);
			continue;
		}
		Item *item = g_queue_pop_head(&notifier->queue);
		if (item->settled == NULL)
			g_hash_table_remove(notifier->items, item);
		g_mutex_unlock(&notifier->lock);
		tell(notifier->session, item);
		item_free(item);
		g_mutex_lock(&notifier->lock);
	}
	g_mutex_unlock(&notifier->lock);
	return NULL;
}

void fs_notifier_start(FsNotifier *notifier, struct fuse_session *session)
{
	g_mutex_lock(&notifier->lock);
	notifier->session = session;
	notifier->thread = g_thread_new("fs-notify", run, notifier);
	g_mutex_unlock(&notifier->lock);
}

void fs_notifier_stop(FsNotifier *notifier)
{
	g_mutex_lock(&notifier->lock);
	notifier->stopping = true;
	GThread *thread = g_steal_pointer(&notifier->thread);
	g_cond_signal(&notifier->wake);
	g_mutex_unlock(&notifier->lock);
	if (thread != NULL)
		g_thread_join(thread);
	for (GList *l = notifier->queue.head; l != NULL; l = l->next) {
		Item *item = l->data;
		if (item->settled != NULL)
			item->settled(item->data);
	}
	g_queue_clear_full(&notifier->queue, item_free);
	g_hash_table_remove_all(notifier->items);
}

void fs_notifier_free(FsNotifier *notifier)
{
	fs_notifier_stop(notifier);
	g_queue_clear_full(&notifier->polls, poll_free);
	g_hash_table_unref(notifier->items);
	g_mutex_clear(&notifier->lock);
	g_cond_clear(&notifier->wake);
	g_free(notifier);
}

/* Makes `into` mean both. */
static void merge(Item *into, const Item *item)
{
	if (item->length < 0)
		return;
	if (into->length < 0) {
		into->offset = item->offset;
		into->length = item->length;
		return;
	}
	gint64 offset = MIN(into->offset, item->offset);
	if (into->length > 0 && item->length > 0)
		into->length =
			MAX(into->offset + into->length, item->offset + item->length) - offset;
	else
		into->length = 0;
	into->offset = offset;
}

static void add(FsNotifier *notifier, const Item *item)
{
	g_mutex_lock(&notifier->lock);
	if (notifier->thread != NULL && !notifier->stopping) {
		Item *known = g_hash_table_lookup(notifier->items, item);
		if (known != NULL) {
			merge(known, item);
		} else if (notifier->queue.length < WAITING_MAX || item->length >= 0) {
			Item *copy = g_new(Item, 1);
			*copy = *item;
			copy->name = g_strdup(item->name);
			g_queue_push_tail(&notifier->queue, copy);
			g_hash_table_add(notifier->items, copy);
			g_cond_signal(&notifier->wake);
		}
	}
	g_mutex_unlock(&notifier->lock);
}

void fs_notifier_inode(FsNotifier *notifier, uint64_t ino, gint64 offset, gint64 length)
{
	add(notifier, &(Item){.ino = ino, .offset = offset, .length = length});
}

void fs_notifier_attributes(FsNotifier *notifier, uint64_t ino)
{
	Item item = {.ino = ino, .length = -1};
	g_mutex_lock(&notifier->lock); /* so long there is a session */
	if (notifier->thread != NULL && !notifier->stopping)
		tell(notifier->session, &item);
	g_mutex_unlock(&notifier->lock);
}

void fs_notifier_entry(FsNotifier *notifier, uint64_t parent, const char *name)
{
	add(notifier, &(Item){.ino = parent, .name = (char *)name, .length = -1});
}

void fs_notifier_settled(FsNotifier *notifier, void (*settled)(void *data), void *data)
{
	g_mutex_lock(&notifier->lock);
	bool running = notifier->thread != NULL && !notifier->stopping;
	if (running) {
		Item *item = g_new(Item, 1);
		*item = (Item){.settled = settled, .data = data};
		g_queue_push_tail(&notifier->queue, item);
		g_cond_signal(&notifier->wake);
	}
	g_mutex_unlock(&notifier->lock);
	if (!running)
		settled(data);
}

void fs_notifier_poll(FsNotifier *notifier, struct fuse_pollhandle *handle)
{
	g_mutex_lock(&notifier->lock);
	bool running = notifier->thread != NULL && !notifier->stopping;
	if (running) {
		g_queue_push_tail(&notifier->polls, handle);
		g_cond_signal(&notifier->wake);
	}
	g_mutex_unlock(&notifier->lock);
	if (!running)
		fuse_pollhandle_destroy(handle);
}
