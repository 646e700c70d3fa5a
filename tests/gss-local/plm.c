#include "plm.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct GlPlm {
	char *root;
	int fd; /* of the file of numbers, O_APPEND */
	pthread_mutex_t lock;
	GHashTable *places;  /* guint64 * -> REPO/MODEL/PATH, owned by `numbers` */
	GHashTable *numbers; /* REPO/MODEL/PATH -> guint64 * */
	guint64 next;
};

const char *gl_plm_root(const GlPlm *plm)
{
	return plm->root;
}

/* Called with the lock held, or before others know the map. */
static void enter(GlPlm *plm, const char *place, guint64 number)
{
	const guint64 *old = g_hash_table_lookup(plm->numbers, place);
	guint64 *key = g_memdup2(&number, sizeof(number));
	char *name = g_strdup(place);

	if (old != NULL)
		g_hash_table_remove(plm->places, old);
	g_hash_table_replace(plm->numbers, name, key);
	g_hash_table_replace(plm->places, key, name);
	plm->next = MAX(plm->next, number + 1);
}

static bool load(GlPlm *plm, const char *ids, GError **error)
{
	g_autofree char *text = NULL;

	if (!g_file_get_contents(ids, &text, NULL, error))
		return false;
	/* A last line cut short by a crash says nothing that anybody was told. */
	char *tail = strrchr(text, '\n');
	gsize whole = tail != NULL ? (gsize)(tail + 1 - text) : 0;
	if (text[whole] != '\0' && ftruncate(plm->fd, (off_t)whole) != 0) {
		g_set_error(error, G_FILE_ERROR, errno, "cannot mend %s: %s", ids,
		            g_strerror(errno));
		return false;
	}
	text[whole] = '\0';
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (guint i = 0; lines[i] != NULL; i++) {
		char *end;
		guint64 number = g_ascii_strtoull(lines[i], &end, 10);

		if (number < 2 || *end != ' ')
			continue;
		enter(plm, end + 1, number);
	}
	return true;
}

GlPlm *gl_plm_open(const char *root, const char *ids, GError **error)
{
	GlPlm *plm = g_new0(GlPlm, 1);

	pthread_mutex_init(&plm->lock, NULL);
	plm->root = g_strdup(root);
	plm->places = g_hash_table_new(g_int64_hash, g_int64_equal);
	plm->numbers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	plm->next = 2;
	plm->fd = open(ids, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (plm->fd < 0) {
		g_set_error(error, G_FILE_ERROR, errno, "cannot open %s: %s", ids,
		            g_strerror(errno));
		gl_plm_close(plm);
		return NULL;
	}
	if (!load(plm, ids, error)) {
		gl_plm_close(plm);
		return NULL;
	}
	return plm;
}

void gl_plm_close(GlPlm *plm)
{
	if (plm->fd >= 0)
		close(plm->fd);
	g_hash_table_unref(plm->places);
	g_hash_table_unref(plm->numbers);
	pthread_mutex_destroy(&plm->lock);
	g_free(plm->root);
	g_free(plm);
}

static bool is_root(const char *place)
{
	const char *slash = strchr(place, '/');
	return slash != NULL && strchr(slash + 1, '/') == NULL;
}

char *gl_plm_place(GlPlm *plm, const char *repository, const char *model, guint64 number)
{
	g_autofree char *root = g_strconcat(repository, "/", model, NULL);
	g_autofree char *prefix = g_strconcat(root, "/", NULL);

	if (number == 1)
		return g_steal_pointer(&root);
	pthread_mutex_lock(&plm->lock);
	const char *place = g_hash_table_lookup(plm->places, &number);
	char *copy = place != NULL && g_str_has_prefix(place, prefix) ? g_strdup(place) : NULL;
	pthread_mutex_unlock(&plm->lock);
	return copy;
}

guint64 gl_plm_number(GlPlm *plm, const char *place, bool renew, GError **error)
{
	if (is_root(place))
		return 1;

	pthread_mutex_lock(&plm->lock);
	const guint64 *known = g_hash_table_lookup(plm->numbers, place);
	guint64 number = known != NULL && !renew ? *known : 0;
	if (number == 0) {
		g_autofree char *line =
			g_strdup_printf("%" G_GUINT64_FORMAT " %s\n", plm->next, place);
		gsize length = strlen(line);

		if (write(plm->fd, line, length) == (gssize)length) {
			number = plm->next;
			enter(plm, place, number);
		} else {
			g_set_error_literal(error, G_FILE_ERROR, EIO,
			                    "cannot write down a new number");
		}
	}
	pthread_mutex_unlock(&plm->lock);
	return number;
}
