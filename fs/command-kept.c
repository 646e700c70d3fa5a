#include "fs/command-kept.h"

#include <string.h>

#define KEPT_US (10 * G_USEC_PER_SEC)

struct FsCommandKept {
	GQueue outcomes; /* Outcome, the oldest first */
};

typedef struct {
	const FsStorage *storage;
	FsCommandMemo memo; /* its first part */
	gint64 until;       /* monotonic us */
} Outcome;

static void outcome_free(void *data)
{
	Outcome *outcome = data;

	fs_command_memo_clear(&outcome->memo);
	g_free(outcome);
}

FsCommandKept *fs_command_kept_new(void)
{
	return g_new0(FsCommandKept, 1);
}

void fs_command_kept_free(FsCommandKept *kept)
{
	g_queue_clear_full(&kept->outcomes, outcome_free);
	g_free(kept);
}

static void drop_old(FsCommandKept *kept)
{
	gint64 now = g_get_monotonic_time();
	const Outcome *oldest;

	while ((oldest = g_queue_peek_head(&kept->outcomes)) != NULL && oldest->until <= now)
		outcome_free(g_queue_pop_head(&kept->outcomes));
}

void fs_command_kept_add(FsCommandKept *kept, const FsStorage *storage, const FsCommandMemo *memo)
{
	Outcome *outcome = g_new(Outcome, 1);

	drop_old(kept);
	*outcome = (Outcome){
		.storage = storage,
		.memo = {.verb = memo->verb,
	                 .source = memo->source,
	                 .generation = memo->generation,
	                 .name = g_strdup(memo->name)},
		.until = g_get_monotonic_time() + KEPT_US,
	};
	g_queue_push_tail(&kept->outcomes, outcome);
}

bool fs_command_kept_take(FsCommandKept *kept, const FsStorage *storage, const FsCommandMemo *memo)
{
	drop_old(kept);
	for (GList *link = kept->outcomes.head; link != NULL; link = link->next) {
		Outcome *outcome = link->data;
		if (outcome->storage != storage || !fs_command_memo_equal(&outcome->memo, memo))
			continue;
		outcome_free(outcome);
		g_queue_delete_link(&kept->outcomes, link);
		return true;
	}
	return false;
}

void fs_command_kept_drop(FsCommandKept *kept, const FsStorage *storage, const char *name)
{
	for (GList *link = kept->outcomes.head, *next; link != NULL; link = next) {
		const Outcome *outcome = link->data;
		next = link->next;
		if (outcome->storage == storage && strcmp(outcome->memo.name, name) == 0) {
			outcome_free(link->data);
			g_queue_delete_link(&kept->outcomes, link);
		}
	}
}
