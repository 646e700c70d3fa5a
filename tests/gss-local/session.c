#include "session.h"

#include "text.h"

#include <errno.h>
#include <gio/gio.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

typedef struct {
	char *username;
	char *password;
	char *project;
} User;

typedef struct {
	const User *user;
	gint64 expires; /* monotonic microseconds */
} Token;

struct GlSessions {
	pthread_mutex_t lock; /* protects tokens */
	GPtrArray *users;     /* fixed once the server runs */
	GHashTable *tokens;   /* string -> Token */
};

static void user_free(gpointer data)
{
	User *user = data;
	g_free(user->username);
	g_free(user->password);
	g_free(user->project);
	g_free(user);
}

void gl_identity_clear(GlIdentity *identity)
{
	g_clear_pointer(&identity->username, g_free);
	g_clear_pointer(&identity->project, g_free);
	g_clear_pointer(&identity->email, g_free);
}

GlSessions *gl_sessions_new(void)
{
	GlSessions *sessions = g_new0(GlSessions, 1);
	pthread_mutex_init(&sessions->lock, NULL);
	sessions->users = g_ptr_array_new_with_free_func(user_free);
	sessions->tokens = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return sessions;
}

void gl_sessions_free(GlSessions *sessions)
{
	g_hash_table_unref(sessions->tokens);
	g_ptr_array_unref(sessions->users);
	pthread_mutex_destroy(&sessions->lock);
	g_free(sessions);
}

bool gl_sessions_add_user(GlSessions *sessions, const char *spec, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(spec, ":", 3);
	guint count = g_strv_length(parts);
	const char *project = count == 3 ? parts[2] : parts[0];

	if (count < 2 || parts[0][0] == '\0' || !gl_text_name_valid(project) || project[0] == '.') {
		g_set_error_literal(error, G_FILE_ERROR, EINVAL,
		                    "a user is written NAME:PASSWORD[:PROJECT]");
		return false;
	}
	User *user = g_new0(User, 1);
	user->username = g_strdup(parts[0]);
	user->password = g_strdup(parts[1]);
	user->project = g_strdup(project);
	g_ptr_array_add(sessions->users, user);
	return true;
}

const char *gl_sessions_first_project(GlSessions *sessions)
{
	if (sessions->users->len == 0)
		return NULL;
	return ((User *)g_ptr_array_index(sessions->users, 0))->project;
}

static void add_token(GlSessions *sessions, const char *token, const User *user, gint64 expires)
{
	Token *entry = g_new0(Token, 1);

	entry->user = user;
	entry->expires = expires;
	pthread_mutex_lock(&sessions->lock);
	g_hash_table_replace(sessions->tokens, g_strdup(token), entry);
	pthread_mutex_unlock(&sessions->lock);
}

void gl_sessions_preset(GlSessions *sessions, const char *token)
{
	g_assert(sessions->users->len > 0);
	add_token(sessions, token, g_ptr_array_index(sessions->users, 0), G_MAXINT64);
}

static char *random_token(void)
{
	guchar bytes[24];
	GString *text = g_string_new(NULL);

	/* Up to 256 bytes are never cut short and never interrupted once the pool is initialised.
	 */
	if (getrandom(bytes, sizeof(bytes), 0) != (gssize)sizeof(bytes))
		g_error("getrandom: %s", g_strerror(errno));
	for (gsize i = 0; i < sizeof(bytes); i++)
		g_string_append_printf(text, "%02x", bytes[i]);
	return g_string_free(text, FALSE);
}

char *gl_sessions_login(GlSessions *sessions, const char *username, const char *password,
                        const char *project, guint life_ms)
{
	for (guint i = 0; i < sessions->users->len; i++) {
		const User *user = g_ptr_array_index(sessions->users, i);

		if (strcmp(user->username, username) != 0 ||
		    strcmp(user->password, password) != 0 || strcmp(user->project, project) != 0)
			continue;
		char *token = random_token();
		add_token(sessions, token, user, g_get_monotonic_time() + (gint64)life_ms * 1000);
		return token;
	}
	return NULL;
}

bool gl_sessions_check(GlSessions *sessions, const char *token, GlIdentity *ret)
{
	bool valid = false;

	pthread_mutex_lock(&sessions->lock);
	const Token *entry = g_hash_table_lookup(sessions->tokens, token);
	if (entry != NULL && entry->expires <= g_get_monotonic_time()) {
		g_hash_table_remove(sessions->tokens, token);
	} else if (entry != NULL) {
		valid = true;
		if (ret != NULL) {
			ret->username = g_strdup(entry->user->username);
			ret->project = g_strdup(entry->user->project);
			ret->email = g_strdup_printf("%s@example.org", entry->user->username);
		}
	}
	pthread_mutex_unlock(&sessions->lock);
	return valid;
}

void gl_sessions_revoke(GlSessions *sessions)
{
	pthread_mutex_lock(&sessions->lock);
	g_hash_table_remove_all(sessions->tokens);
	pthread_mutex_unlock(&sessions->lock);
}
