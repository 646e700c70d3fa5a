/* gss/storages.c - see gss/stat-private.h. */
#include "gss/stat-private.h"

#include "gss/date.h"
#include "gss/uri.h"

#include <string.h>

#define VERDICTS_MAX 256
#define BELIEVED_MAX 4096
/* A HEAD that agrees on a size as small as a word (FILE, FOLDER, NOTEXIST, with a line end or
 * quotes) or on nothing proves nothing. */
#define WORD_MAX 12
#define ETAG_MAX 1024

struct GssStorages {
	GHashTable *kinds;    /* "backend\nhost" → GssHeadKind */
	GHashTable *believed; /* URI → GssVersion */
};

static void version_free(void *data)
{
	gss_version_clear(data);
	g_free(data);
}

GssStorages *gss_storages_new(void)
{
	GssStorages *storages = g_new0(GssStorages, 1);
	storages->kinds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	storages->believed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, version_free);
	return storages;
}

void gss_storages_free(GssStorages *storages)
{
	if (storages == NULL)
		return;
	g_hash_table_unref(storages->kinds);
	g_hash_table_unref(storages->believed);
	g_free(storages);
}

static const char *own_uri(const GssResource *resource)
{
	return resource->uri != NULL ? resource->uri : resource->address;
}

static char *storage_key(const GssResource *resource)
{
	const GssDescription *description = resource->descriptions[GSS_VERB_META];
	const char *uri = own_uri(resource);
	if (description == NULL || description->url == NULL || uri == NULL)
		return NULL;
	g_autofree char *backend = gss_uri_backend(uri);
	const char *host = strstr(description->url, "://");
	host = host != NULL ? host + 3 : description->url;
	return g_strdup_printf("%s\n%.*s", backend, (int)MIN(strcspn(host, "/?#"), 512), host);
}

GssHeadKind gss_storages_kind(const GssStorages *storages, const GssResource *resource)
{
	g_autofree char *key = storage_key(resource);
	return key != NULL ? GPOINTER_TO_UINT(g_hash_table_lookup(storages->kinds, key))
	                   : GSS_HEAD_UNKNOWN;
}

void gss_storages_compared(GssStorages *storages, const GssResource *resource, gint64 length,
                           gint64 size)
{
	GssHeadKind kind = GSS_HEAD_UNKNOWN;
	if (length == size && size > WORD_MAX)
		kind = GSS_HEAD_SIZE;
	else if (length != size && length <= WORD_MAX)
		kind = GSS_HEAD_WORD;
	/* Two large sizes that differ are a file that grows. */
	char *key = storage_key(resource);
	if (kind == GSS_HEAD_UNKNOWN || key == NULL) {
		g_free(key);
		return;
	}
	if (g_hash_table_size(storages->kinds) >= VERDICTS_MAX)
		g_hash_table_remove_all(storages->kinds);
	g_debug("HEAD on %s answers %s", strchr(key, '\n') + 1,
	        kind == GSS_HEAD_SIZE ? "sizes" : "no sizes");
	g_hash_table_replace(storages->kinds, key, GUINT_TO_POINTER(kind));
}

void gss_storages_believed(GssStorages *storages, const GssResource *resource,
                           const GssVersion *version)
{
	const char *uri = own_uri(resource);
	if (uri == NULL)
		return;
	if (g_hash_table_size(storages->believed) >= BELIEVED_MAX)
		g_hash_table_remove_all(storages->believed);
	GssVersion *copy = g_new(GssVersion, 1);
	*copy = GSS_VERSION_INIT;
	gss_version_copy(copy, version);
	g_hash_table_replace(storages->believed, g_strdup(uri), copy);
}

void gss_storages_proved(GssStorages *storages, const GssResource *resource,
                         const GssVersion *version)
{
	const char *uri = own_uri(resource);
	const GssVersion *believed =
		uri != NULL ? g_hash_table_lookup(storages->believed, uri) : NULL;
	if (believed == NULL || version->size < 0)
		return;
	bool same =
		believed->mtime == version->mtime && g_strcmp0(believed->etag, version->etag) == 0;
	if (same && believed->size != version->size) {
		g_autofree char *key = storage_key(resource);
		if (key != NULL)
			g_hash_table_remove(storages->kinds, key);
	}
	g_hash_table_remove(storages->believed, uri);
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
