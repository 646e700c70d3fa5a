/* gss/client.h - a client of one GSS platform: the HTTP engine, the session, the service URLs.
 *
 * Threads: a GssClient starts one thread, `gss-net`, which alone owns the CURLM, the token and all
 * calls under way. Every function of the client, storage and images headers may be called from any
 * thread, never blocks, and takes a completion callback. Callbacks run on gss-net, exactly once per
 * call, also after cancellation (ECANCELED) and while the client is being freed; they must not
 * block and may start further calls. What a callback is given belongs to the client and ends with
 * the callback, unless said otherwise; take a reference or copy.
 *
 * Cancelling: `cancellable` may be NULL; cancelling it ends the call soon, with ECANCELED.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

typedef struct GssClient GssClient;

/* Credentials, as the caller's configuration has them at this moment. Either `token` or all of the
 * other three are set, or none (then the login fails with ENOKEY). Where both are set the token is
 * used first, and the password once the token died. Free with gss_credentials_clear(), which wipes
 * the secrets. */
typedef struct {
	char *token;
	char *username;
	char *project;
	char *password;
} GssCredentials;
void gss_credentials_clear(GssCredentials *credentials);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GssCredentials, gss_credentials_clear)

typedef struct {
	const char
		*auth_url; /* WSDL URL of the AuthManager; the endpoint is the same without ?wsdl */
	const char *gss_url;       /* WSDL URL of FileUtilities */
	bool allow_http;           /* http:// to hosts other than loopback */
	guint connect_timeout_ms;  /* 0: 10 s */
	guint stall_timeout_ms;    /* 0: 60 s without a byte while a body moves */
	guint response_timeout_ms; /* 0: 15 minutes from the last request byte to the first of the
	                              answer, where that may be work: changes, listings;
	                              for other questions the stall's */
	guint small_connections; /* 0: 32; connections for SOAP calls, HEAD, DELETE, uploads < 1 MiB
	                          */
	guint upload_connections;   /* 0: 4; connections for larger uploads */
	guint download_connections; /* 0: 32; connections for contents that are read */
	/* Reads the credentials afresh; called on gss-net whenever a login is due. Fills `ret` and
	 * returns true, or returns false with an error (unreadable or unsafe file); that
	 * counts as having none (ENOKEY).
	 */
	bool (*load_credentials)(GssCredentials *ret, void *data, GError **error);
	/* What gss_client_session() tells has changed; called on gss-net; may be NULL. */
	void (*session_changed)(void *data);
	void *data;
	/* Only tokens of this project are used, whatever the credentials become while the client
	 * runs (EKEYREJECTED otherwise). Of a ready token the authentication manager is asked; one
	 * that does not tell is believed. NULL: any. */
	const char *project;
} GssClientOptions;

/* EINVAL: a URL is no http(s) URL, or http:// to a foreign host without allow_http. Copies the
 * options. curl_global_init() must have been called. */
GssClient *gss_client_new(const GssClientOptions *options, GError **error);
/* Cancels what is under way, waits for the last callback, ends the thread. Never call on gss-net.
 */
void gss_client_free(GssClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GssClient, gss_client_free)

/* Who we are logged in as. Strings are never NULL on success ("" where the service does not say).
 */
typedef struct {
	const char *username;
	const char *project;
	const char *email;
} GssIdentity;
typedef void (*GssLoginCallback)(const GssIdentity *identity, const GError *error, void *data);

/* Obtains a token if there is none (getSessionToken), or validates the given one
 * (validateSessionToken), then asks getUsername, getProject (getEmail may fail unnoticed).
 * ENOKEY, EKEYREJECTED, EHOSTUNREACH, ... */
void gss_client_login(GssClient *client, GCancellable *cancellable, GssLoginCallback callback,
                      void *data);

/* As GssClientOptions.project, from now on. */
void gss_client_set_project(GssClient *client, const char *project);
/* Reads the credentials afresh, also if there is a live token or they were refused a moment ago,
 * and goes on as gss_client_login(). */
void gss_client_login_again(GssClient *client, GCancellable *cancellable, GssLoginCallback callback,
                            void *data);

/* Where the session stands. */
typedef enum {
	GSS_SESSION_OFFLINE,  /* the platform was not asked yet, or does not answer */
	GSS_SESSION_OK,       /* there is a token that lives, as far as is known */
	GSS_SESSION_MISSING,  /* there are no credentials, or none that still work */
	GSS_SESSION_REJECTED, /* they are refused, or of another project */
} GssSessionState;
typedef struct {
	GssSessionState state;
	char *username;     /* NULL: not known */
	char *project;      /* the same */
	gint64 valid_until; /* s since the epoch; 0: not known, as of a ready token */
	char *message;      /* what is wrong, or NULL */
} GssSessionStatus;
void gss_session_status_clear(GssSessionStatus *status);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(GssSessionStatus, gss_session_status_clear)
/* Any thread; at once. */
void gss_client_session(GssClient *client, GssSessionStatus *ret);

/* Bytes and requests moved since the start, for logs, tests and benchmarks. */
typedef struct {
	guint64 requests;
	guint64 connections;
	guint64 bytes_sent;
	guint64 bytes_received;
} GssCounters;
void gss_client_counters(GssClient *client, GssCounters *ret);
