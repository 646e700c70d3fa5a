/* gss/storages.c - see gss/stat-private.h. */
#include "gss/stat-private.h"

#include "gss/date.h"
#include "gss/uri.h"

#include <string.h>

#define VERDICTS_MAX 256
#define BELIEVED_MAX 4096
#define PROVEN_MAX 4096
#define ETAG_MAX 1024
#define DAY_S (24 * 3600)
#define VERDICT_S (7 * DAY_S) /* what was found is looked at again after this time */
#define YOUNG_S 3
#define PAUSE (60 * G_USEC_PER_SEC)
#define HOST_MAX 512

typedef struct {
	GssHeadKind head;
	GssViewKind view;
	gint64 head_at, view_at; /* seconds since the epoch */
	gint64 pause_until;      /* monotonic us */
	guint refuted; /* hash of the URI of which HEAD said something else than GET, 0 none */
} Verdict;

typedef struct {
	GssVersion version;
	bool view;
} Believed;

struct GssStorages {
	GMutex lock;          /* guards all; nothing is called under it */
	GHashTable *verdicts; /* "backend\nhost" → Verdict */
	GHashTable *believed; /* URI → Believed */
	/* URI → GssVersion: those as short as a word that a GET told, longer ones that were counted
	 */
	GHashTable *proven;
	guint serial;
};

static void believed_free(void *data)
{
	Believed *believed = data;
	gss_version_clear(&believed->version);
	g_free(believed);
}

static void version_free(void *data)
{
	gss_version_clear(data);
	g_free(data);
}

GssStorages *gss_storages_new(void)
{
	GssStorages *storages = g_new0(GssStorages, 1);
	g_mutex_init(&storages->lock);
	storages->verdicts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	storages->believed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, believed_free);
	storages->proven = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, version_free);
	return storages;
}

void gss_storages_free(GssStorages *storages)
{
	if (storages == NULL)
		return;
	g_hash_table_unref(storages->verdicts);
	g_hash_table_unref(storages->believed);
	g_hash_table_unref(storages->proven);
	g_mutex_clear(&storages->lock);
	g_free(storages);
}

static const char *own_uri(const GssResource *resource)
{
	const char *uri = gss_resource_uri(resource);
	return uri != NULL ? uri : gss_resource_address(resource);
}

static char *storage_key(const GssResource *resource)
{
	const GssDescription *description = gss_resource_description(resource, GSS_VERB_META);
	const char *url = description != NULL ? description->head : NULL;
	const char *uri = own_uri(resource);
	if (url == NULL || uri == NULL)
		return NULL;
	g_autofree char *backend = gss_uri_backend(uri);
	const char *host = strstr(url, "://");
	host = host != NULL ? host + 3 : url;
	return g_strdup_printf("%s\n%.*s", backend, (int)MIN(strcspn(host, "/?#"), HOST_MAX), host);
}

static gint64 now_s(void)
{
	return g_get_real_time() / G_USEC_PER_SEC;
}

static bool expired(gint64 at)
{
	gint64 age = now_s() - at;
	return age < 0 || age > VERDICT_S;
}

/* NULL: nothing is known, or the resource says no storage. */
static Verdict *verdict_locked(GssStorages *storages, const GssResource *resource)
{
	g_autofree char *key = storage_key(resource);
	return key != NULL ? g_hash_table_lookup(storages->verdicts, key) : NULL;
}

static Verdict *make_verdict_locked(GssStorages *storages, char *key)
{
	Verdict *verdict = g_hash_table_lookup(storages->verdicts, key);
	if (verdict != NULL) {
		g_free(key);
		return verdict;
	}
	if (g_hash_table_size(storages->verdicts) >= VERDICTS_MAX)
		g_hash_table_remove_all(storages->verdicts);
	verdict = g_new0(Verdict, 1);
	g_hash_table_insert(storages->verdicts, key, verdict);
	return verdict;
}

GssHeadKind gss_storages_kind(GssStorages *storages, const GssResource *resource)
{
	g_mutex_lock(&storages->lock);
	const Verdict *verdict = verdict_locked(storages, resource);
	GssHeadKind kind = verdict != NULL ? verdict->head : GSS_HEAD_UNKNOWN;
	if (kind != GSS_HEAD_UNKNOWN && expired(verdict->head_at))
		kind = GSS_HEAD_UNKNOWN;
	g_mutex_unlock(&storages->lock);
	return kind;
}

/* Do they agree in all that both have, and have both a date or both an ETag? */
static bool same_version(const GssVersion *a, const GssVersion *b)
{
	return gss_version_validated(a, b) && gss_version_equal(a, b);
}

bool gss_storages_believable(GssStorages *storages, const GssResource *resource,
                             const GssVersion *version)
{
	const char *uri = own_uri(resource);
	if (version->size < 0 || gss_storages_kind(storages, resource) != GSS_HEAD_SIZE)
		return false;
	if (version->size > GSS_WORD_MAX)
		return true;
	g_mutex_lock(&storages->lock);
	const GssVersion *proven = uri != NULL ? g_hash_table_lookup(storages->proven, uri) : NULL;
	bool same = proven != NULL && same_version(proven, version);
	g_mutex_unlock(&storages->lock);
	return same;
}

void gss_storages_doubt_head(GssStorages *storages, const GssResource *resource)
{
	g_mutex_lock(&storages->lock);
	Verdict *verdict = verdict_locked(storages, resource);
	/* Another file may have taught more meanwhile. */
	if (verdict != NULL && verdict->head == GSS_HEAD_SIZE) {
		verdict->head = GSS_HEAD_UNKNOWN;
		storages->serial++;
	}
	g_mutex_unlock(&storages->lock);
}

void gss_storages_compared(GssStorages *storages, const GssResource *resource, gint64 length,
                           gint64 size)
{
	char *key = storage_key(resource);
	if (key == NULL || (length == size && size <= GSS_WORD_MAX)) {
		g_free(key);
		return;
	}
	g_mutex_lock(&storages->lock);
	Verdict *verdict = make_verdict_locked(storages, key);
	guint before = verdict->refuted;
	GssHeadKind kind = length == size ? GSS_HEAD_SIZE : GSS_HEAD_WORD;
	verdict->refuted = length == size ? 0 : MAX(g_str_hash(own_uri(resource)), 1);
	/* Two large sizes that differ may be a file that grows. */
	if (length != size && length > GSS_WORD_MAX && (before == 0 || before == verdict->refuted))
		kind = GSS_HEAD_UNKNOWN;
	if (kind != GSS_HEAD_UNKNOWN) {
		verdict->head = kind;
		verdict->head_at = now_s();
		storages->serial++;
	}
	g_mutex_unlock(&storages->lock);
	if (kind != GSS_HEAD_UNKNOWN)
		g_debug("%s: HEAD answers %s", own_uri(resource),
		        kind == GSS_HEAD_SIZE ? "sizes" : "no sizes");
}

GssViewKind gss_storages_view_kind(GssStorages *storages, const GssResource *resource)
{
	g_mutex_lock(&storages->lock);
	const Verdict *verdict = verdict_locked(storages, resource);
	GssViewKind kind = verdict != NULL ? verdict->view : GSS_VIEW_UNKNOWN;
	if (kind == GSS_VIEW_NO && expired(verdict->view_at))
		kind = GSS_VIEW_UNKNOWN;
	if (kind != GSS_VIEW_NO && verdict != NULL && verdict->pause_until > g_get_monotonic_time())
		kind = GSS_VIEW_LATER;
	g_mutex_unlock(&storages->lock);
	return kind;
}

void gss_storages_judge_view(GssStorages *storages, const GssResource *resource, GssViewKind kind)
{
	char *key = storage_key(resource);
	if (key == NULL)
		return;
	g_mutex_lock(&storages->lock);
	Verdict *verdict = make_verdict_locked(storages, key);
	verdict->view = kind;
	verdict->view_at = now_s();
	storages->serial++;
	g_mutex_unlock(&storages->lock);
}

void gss_storages_pause_view(GssStorages *storages, const GssResource *resource)
{
	char *key = storage_key(resource);
	if (key == NULL)
		return;
	g_mutex_lock(&storages->lock);
	make_verdict_locked(storages, key)->pause_until = g_get_monotonic_time() + PAUSE;
	g_mutex_unlock(&storages->lock);
}

void gss_storages_believed(GssStorages *storages, const GssResource *resource,
                           const GssVersion *version, bool view)
{
	const char *uri = own_uri(resource);
	if (uri == NULL)
		return;
	Believed *believed = g_new(Believed, 1);
	*believed = (Believed){.version = GSS_VERSION_INIT, .view = view};
	gss_version_copy(&believed->version, version);
	g_mutex_lock(&storages->lock);
	if (g_hash_table_size(storages->believed) >= BELIEVED_MAX)
		g_hash_table_remove_all(storages->believed);
	g_hash_table_replace(storages->believed, g_strdup(uri), believed);
	g_mutex_unlock(&storages->lock);
}

/* Do the two speak of one version, and tell different sizes of it? */
static bool refuted(const Believed *believed, const GssVersion *version)
{
	const GssVersion *old = &believed->version;
	if (old->size == version->size)
		return false;
	/* A view has no ETag, not every storage has dates, and a HEAD that tells the length of
	 * something else has neither. */
	bool date = old->mtime < 0 || version->mtime < 0 || old->mtime == version->mtime;
	return date && (old->etag == NULL || version->etag == NULL ||
	                strcmp(old->etag, version->etag) == 0);
}

static void keep_locked(GssStorages *storages, const char *uri, const GssVersion *version)
{
	GssVersion *copy = g_new(GssVersion, 1);
	*copy = GSS_VERSION_INIT;
	gss_version_copy(copy, version);
	if (g_hash_table_size(storages->proven) >= PROVEN_MAX)
		g_hash_table_remove_all(storages->proven);
	g_hash_table_replace(storages->proven, g_strdup(uri), copy);
}

/* Agreements keep a verdict young; it is journaled once a day for that. */
static void confirm_locked(GssStorages *storages, const GssResource *resource)
{
	Verdict *verdict = verdict_locked(storages, resource);
	gint64 now = now_s();
	if (verdict == NULL || verdict->head != GSS_HEAD_SIZE || now - verdict->head_at <= DAY_S)
		return;
	verdict->head_at = now;
	storages->serial++;
}

void gss_storages_proved(GssStorages *storages, const GssResource *resource,
                         const GssVersion *version)
{
	const char *uri = own_uri(resource);
	if (uri == NULL || version->size < 0)
		return;
	g_mutex_lock(&storages->lock);
	if (version->size <= GSS_WORD_MAX) /* a short length that HEAD tells is compared with it */
		keep_locked(storages, uri, version);
	else
		g_hash_table_remove(storages->proven, uri);
	const Believed *believed = g_hash_table_lookup(storages->believed, uri);
	if (believed != NULL && !believed->view && version->size > GSS_WORD_MAX &&
	    believed->version.size == version->size)
		confirm_locked(storages, resource);
	Verdict *verdict = believed != NULL && refuted(believed, version)
	                           ? verdict_locked(storages, resource)
	                           : NULL;
	if (verdict != NULL) {
		if (believed->view)
			verdict->view = GSS_VIEW_UNKNOWN;
		else
			verdict->head = GSS_HEAD_UNKNOWN;
		storages->serial++;
	}
	if (believed != NULL)
		g_hash_table_remove(storages->believed, uri);
	g_mutex_unlock(&storages->lock);
}

gint64 gss_storages_counted(GssStorages *storages, const GssResource *resource,
                            const GssVersion *version)
{
	const char *uri = own_uri(resource);
	gint64 size = -1;
	if (uri == NULL)
		return -1;
	g_mutex_lock(&storages->lock);
	const GssVersion *proven = g_hash_table_lookup(storages->proven, uri);
	if (proven != NULL && proven->size > GSS_WORD_MAX) {
		GssVersion now = {
			.size = proven->size, .mtime = version->mtime, .etag = version->etag};
		size = same_version(proven, &now) ? proven->size : -1;
	}
	g_mutex_unlock(&storages->lock);
	return size;
}

void gss_storages_keep_count(GssStorages *storages, const GssResource *resource,
                             const GssVersion *version)
{
	const char *uri = own_uri(resource);
	/* A date of just now may be that of the next version, too. */
	bool young = version->etag == NULL &&
	             now_s() - version->mtime / G_GINT64_CONSTANT(1000000000) < YOUNG_S;
	if (uri == NULL || young)
		return;
	g_mutex_lock(&storages->lock);
	keep_locked(storages, uri, version);
	g_mutex_unlock(&storages->lock);
}

/* --- for the next process: a line a host: host, head, when, view, when --- */

guint gss_storages_serial(GssStorages *storages)
{
	g_mutex_lock(&storages->lock);
	guint serial = storages->serial;
	g_mutex_unlock(&storages->lock);
	return serial;
}

char *gss_storages_export(GssStorages *storages, const char *backend)
{
	GString *text = g_string_new(NULL);
	gsize length = strlen(backend);
	GHashTableIter iter;
	void *key, *value;
	g_mutex_lock(&storages->lock);
	g_hash_table_iter_init(&iter, storages->verdicts);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		const Verdict *verdict = value;
		const char *name = key;
		if (strncmp(name, backend, length) != 0 || name[length] != '\n')
			continue;
		g_string_append_printf(text, "%s %d %" G_GINT64_FORMAT " %d %" G_GINT64_FORMAT "\n",
		                       name + length + 1, (int)verdict->head, verdict->head_at,
		                       (int)verdict->view, verdict->view_at);
	}
	g_mutex_unlock(&storages->lock);
	return g_string_free(text, FALSE);
}

void gss_storages_import(GssStorages *storages, const char *backend, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", VERDICTS_MAX);
	g_mutex_lock(&storages->lock);
	for (char **line = lines; *line != NULL; line++) {
		g_auto(GStrv) words = g_strsplit(*line, " ", 6);
		gint64 values[4];
		bool ok = g_strv_length(words) == 5;
		for (guint i = 0; ok && i < 4; i++)
			ok = g_ascii_string_to_signed(words[i + 1], 10, 0, G_MAXINT64, &values[i],
			                              NULL);
		if (!ok || values[0] > GSS_HEAD_WORD || values[2] > GSS_VIEW_NO)
			continue;
		char *key = g_strdup_printf("%s\n%s", backend, words[0]);
		Verdict *verdict = make_verdict_locked(storages, key);
		verdict->head = (GssHeadKind)values[0];
		verdict->head_at = values[1];
		verdict->view = (GssViewKind)values[2];
		verdict->view_at = values[3];
	}
	g_mutex_unlock(&storages->lock);
}

void gss_version_from_answer(GssVersion *version, const GssAnswer *answer)
{
	const char *date = gss_answer_header(answer, "last-modified");
	const char *etag = gss_answer_header(answer, "etag");
	version->mtime = date != NULL ? gss_date_parse(date) : -1;
	g_free(version->etag);
	version->etag = NULL;
	if (etag != NULL && *etag != '\0' && strlen(etag) <= ETAG_MAX &&
	    g_utf8_validate(etag, -1, NULL))
		version->etag = g_strdup(etag);
}

/* Digits up to `end`, which is skipped. */
static bool number(const char **text, char end, gint64 *ret)
{
	char *stop = NULL;
	if (!g_ascii_isdigit(**text))
		return false;
	guint64 value = g_ascii_strtoull(*text, &stop, 10);
	if (*stop != end || value > G_MAXINT64 - 1)
		return false;
	*ret = (gint64)value;
	*text = end != '\0' ? stop + 1 : stop;
	return true;
}

bool gss_content_range(const char *text, gint64 *ret_first, gint64 *ret_last, gint64 *ret_size)
{
	gint64 first = -1;
	gint64 last = -1;
	gint64 size = -1;
	if (g_ascii_strncasecmp(text, "bytes", 5) != 0)
		return false;
	text += 5;
	if (*text != ' ' && *text != '=')
		return false;
	text += strspn(text, " =");
	if (g_str_has_prefix(text, "*/")) {
		text += 2;
	} else if (!number(&text, '-', &first) || !number(&text, '/', &last) || first > last) {
		return false;
	}
	if (strcmp(text, "*") != 0 && !number(&text, '\0', &size))
		return false;
	if (size >= 0 && last >= size)
		return false;
	*ret_first = first;
	*ret_last = last;
	*ret_size = size;
	return true;
}
