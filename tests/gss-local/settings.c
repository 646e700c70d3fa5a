#include "settings.h"

#include "text.h"

#include <errno.h>
#include <gio/gio.h>
#include <pthread.h>
#include <string.h>

typedef enum { KIND_SWITCH, KIND_CHOICE, KIND_NUMBER, KIND_SECONDS } Kind;

typedef struct {
	const char *name;
	Kind kind;
	gsize offset;
	guint initial;
	guint limit;                 /* of KIND_NUMBER */
	const char *const words[10]; /* of KIND_CHOICE, in the order of the enum */
	const char *unit;
	const char *help;
} Switch;

#define FIELD(member) G_STRUCT_OFFSET(GlSettings, member)

static const Switch switches[] = {
	{"head",
         KIND_CHOICE,
         FIELD(head),
         GL_HEAD_SIZE,
         0,
         {"size", "word", "refused", "missing", "gzip", "empty", "other", "failing", "forbidden"},
         NULL,
         "HEAD answers the size and date of a file, the word FILE, 405, 404, as if it were "
         "compressed, nothing, always the same, 500, or 403"},
	{"range", KIND_SWITCH, FIELD(range), 1, 0, {NULL}, NULL, "GET honours Range"},
	{"length",
         KIND_SWITCH,
         FIELD(length),
         1,
         0,
         {NULL},
         NULL,
         "GET of a whole file tells its length; else it comes in chunks"},
	{"last-modified",
         KIND_SWITCH,
         FIELD(last_modified),
         1,
         0,
         {NULL},
         NULL,
         "send Last-Modified"},
	{"etag", KIND_SWITCH, FIELD(etag), 0, 0, {NULL}, NULL, "send ETag"},
	{"conditional",
         KIND_SWITCH,
         FIELD(conditional),
         0,
         0,
         {NULL},
         NULL,
         "honour If-Match and If-Unmodified-Since (412), and If-Range"},
	{"view-full",
         KIND_CHOICE,
         FIELD(view_full),
         GL_VIEW_ON,
         0,
         {"off", "on", "other", "wrong", "shifted", "garbage", "missing", "failing"},
         NULL,
         "GET of a folder with ?view=full adds size and date; `other`: under other names; "
         "`wrong`, `shifted`: wrong sizes or dates"},
	{"chunked",
         KIND_SWITCH,
         FIELD(chunked),
         0,
         0,
         {NULL},
         NULL,
         "accept chunked uploads (else 411)"},
	{"filename-header",
         KIND_SWITCH,
         FIELD(filename_header),
         1,
         0,
         {NULL},
         NULL,
         "creating on plm answers the header `filename`"},
	{"urls",
         KIND_CHOICE,
         FIELD(urls),
         GL_URLS_ENCODED,
         0,
         {"encoded", "raw"},
         NULL,
         "how request descriptions spell URLs"},
	{"token-field",
         KIND_CHOICE,
         FIELD(token_field),
         GL_FIELD_DEPRECATED,
         0,
         {"deprecated", "header", "none"},
         NULL,
         "sessionTokenField; `header`: it names X-Auth-Token, and the descriptions carry no token"},
	{"extra-header",
         KIND_SWITCH,
         FIELD(extra_header),
         0,
         0,
         {NULL},
         NULL,
         "descriptions carry a further header, without which storage answers 400"},
	{"internal-host",
         KIND_SWITCH,
         FIELD(internal_host),
         0,
         0,
         {NULL},
         NULL,
         "the WSDLs name a host that nobody can reach, as the real ones do"},
	{"images-style",
         KIND_CHOICE,
         FIELD(images_style),
         GL_IMAGES_JAXWS,
         0,
         {"jaxws", "spyne"},
         NULL,
         "the dialect of the Images services"},
	{"images-error",
         KIND_CHOICE,
         FIELD(images_error),
         GL_IMAGES_FAULT,
         0,
         {"fault", "text"},
         NULL,
         "Images reports errors as faults, or as the text it returns"},
	{"images-order",
         KIND_CHOICE,
         FIELD(images_order),
         GL_ORDER_DOCUMENTED,
         0,
         {"documented", "reversed"},
         NULL,
         "the order of the parameters in the Images schema"},
	{"token-life",
         KIND_SECONDS,
         FIELD(token_life),
         86400 * 1000,
         0,
         {NULL},
         "SECONDS",
         "how long tokens live that are given out from now on"},
	{"latency", KIND_NUMBER, FIELD(latency), 0, 600000, {NULL}, "MS", "before every request"},
	{"response-delay",
         KIND_NUMBER,
         FIELD(response_delay),
         0,
         3600000,
         {NULL},
         "MS",
         "between the last byte of an upload and the answer"},
	{"bandwidth",
         KIND_NUMBER,
         FIELD(bandwidth),
         0,
         G_MAXINT,
         {NULL},
         "BYTES_PER_S",
         "of bodies, each way, per connection; 0: unlimited"},
	{"error-rate",
         KIND_NUMBER,
         FIELD(error_rate),
         0,
         100,
         {NULL},
         "PERCENT",
         "of storage requests are answered with 503"},
	{"cut-rate",
         KIND_NUMBER,
         FIELD(cut_rate),
         0,
         100,
         {NULL},
         "PERCENT",
         "of requests have their connection cut"},
	{"cut-where",
         KIND_CHOICE,
         FIELD(cut_where),
         GL_WHERE_ANY,
         0,
         {"any", "before", "during", "after"},
         NULL,
         "before the body is read, in the middle of a body, after the work but before the answer"},
	{"register-504",
         KIND_SWITCH,
         FIELD(register_504),
         0,
         0,
         {NULL},
         NULL,
         "registering answers 504 at once and goes on behind"},
	{"register-delay",
         KIND_SECONDS,
         FIELD(register_delay),
         0,
         0,
         {NULL},
         "SECONDS",
         "how long a registration takes"},
};

struct GlSettingsBox {
	pthread_mutex_t lock;
	GlSettings now;
	GlSettings marked;
};

static guint *field(GlSettings *settings, const Switch *s)
{
	return G_STRUCT_MEMBER_P(settings, s->offset);
}

static const Switch *find(const char *name)
{
	for (gsize i = 0; i < G_N_ELEMENTS(switches); i++)
		if (strcmp(switches[i].name, name) == 0)
			return &switches[i];
	return NULL;
}

GlSettingsBox *gl_settings_new(void)
{
	GlSettingsBox *box = g_new0(GlSettingsBox, 1);
	pthread_mutex_init(&box->lock, NULL);
	for (gsize i = 0; i < G_N_ELEMENTS(switches); i++)
		*field(&box->now, &switches[i]) = switches[i].initial;
	box->marked = box->now;
	return box;
}

void gl_settings_free(GlSettingsBox *box)
{
	pthread_mutex_destroy(&box->lock);
	g_free(box);
}

void gl_settings_get(GlSettingsBox *box, GlSettings *ret)
{
	pthread_mutex_lock(&box->lock);
	*ret = box->now;
	pthread_mutex_unlock(&box->lock);
}

bool gl_settings_known(const char *name)
{
	return find(name) != NULL;
}

void gl_settings_mark(GlSettingsBox *box)
{
	pthread_mutex_lock(&box->lock);
	box->marked = box->now;
	pthread_mutex_unlock(&box->lock);
}

void gl_settings_reset(GlSettingsBox *box)
{
	pthread_mutex_lock(&box->lock);
	box->now = box->marked;
	pthread_mutex_unlock(&box->lock);
}

static bool parse(const Switch *s, const char *value, guint *ret)
{
	guint64 number;
	double seconds;
	char *end;

	switch (s->kind) {
	case KIND_SWITCH:
		*ret = strcmp(value, "on") == 0;
		return *ret || strcmp(value, "off") == 0;
	case KIND_CHOICE:
		for (guint i = 0; s->words[i] != NULL; i++) {
			if (strcmp(s->words[i], value) == 0) {
				*ret = i;
				return true;
			}
		}
		return false;
	case KIND_NUMBER:
		if (!g_ascii_string_to_unsigned(value, 10, 0, s->limit, &number, NULL))
			return false;
		*ret = (guint)number;
		return true;
	case KIND_SECONDS:
		seconds = g_ascii_strtod(value, &end);
		if (end == value || *end != '\0' || !(seconds >= 0 && seconds <= 1e6))
			return false;
		*ret = (guint)(seconds * 1000 + 0.5);
		return true;
	}
	return false;
}

bool gl_settings_set(GlSettingsBox *box, const char *name, const char *value, GError **error)
{
	const Switch *s = find(name);
	guint number;

	if (s == NULL || !parse(s, value, &number)) {
		g_set_error(error, G_FILE_ERROR, EINVAL,
		            s == NULL ? "there is no switch %s (asked for %s)"
		                      : "switch %s cannot be %s",
		            name, value);
		return false;
	}
	pthread_mutex_lock(&box->lock);
	*field(&box->now, s) = number;
	pthread_mutex_unlock(&box->lock);
	return true;
}

void gl_settings_append_json(GlSettingsBox *box, GString *out)
{
	GlSettings now;
	char buffer[G_ASCII_DTOSTR_BUF_SIZE];

	gl_settings_get(box, &now);
	g_string_append_c(out, '{');
	for (gsize i = 0; i < G_N_ELEMENTS(switches); i++) {
		const Switch *s = &switches[i];
		guint value = *field(&now, s);

		g_string_append_printf(out, "%s\"%s\":", i == 0 ? "" : ",", s->name);
		switch (s->kind) {
		case KIND_SWITCH:
			g_string_append(out, value ? "\"on\"" : "\"off\"");
			break;
		case KIND_CHOICE:
			gl_text_append_json(out, s->words[value]);
			break;
		case KIND_NUMBER:
			g_string_append_printf(out, "%u", value);
			break;
		case KIND_SECONDS:
			g_string_append(out,
			                g_ascii_dtostr(buffer, sizeof(buffer), value / 1000.0));
			break;
		}
	}
	g_string_append_c(out, '}');
}

void gl_settings_append_help(GString *out)
{
	GlSettings initial;
	GlSettingsBox *box = gl_settings_new();

	gl_settings_get(box, &initial);
	gl_settings_free(box);
	for (gsize i = 0; i < G_N_ELEMENTS(switches); i++) {
		const Switch *s = &switches[i];
		guint value = *field(&initial, s);
		g_autofree char *words = NULL;
		g_autofree char *usage = NULL;

		if (s->kind == KIND_CHOICE)
			words = g_strjoinv("|", (char **)s->words);
		else if (s->kind == KIND_SWITCH)
			words = g_strdup("on|off");
		usage = g_strdup_printf("--%s %s", s->name, words != NULL ? words : s->unit);
		g_string_append_printf(out, "  %-42s %s", usage, s->help);
		if (s->kind == KIND_SWITCH)
			g_string_append_printf(out, " (%s)\n", value ? "on" : "off");
		else if (s->kind == KIND_CHOICE)
			g_string_append_printf(out, " (%s)\n", s->words[value]);
		else
			g_string_append_printf(out, " (%u)\n",
			                       s->kind == KIND_SECONDS ? value / 1000 : value);
	}
}
