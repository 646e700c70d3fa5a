/* test-gss-peer.h - a scripted HTTP peer on loopback for the tests of the GSS client.
 *
 * It knows a small GSS (one token at a time, one file `x://file`), and leaves the answers of the
 * file's REST address to the test. A thread a connection; counters are atomic.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Peer Peer;

typedef struct {
	char *method;
	char *path;
	char *head;    /* all header lines, lower case */
	GString *body; /* what has been read of it */
	gsize length;  /* Content-Length */
	guint number;  /* of this request to the file, from 1 */
	bool reused;   /* not the first on its connection */
} PeerRequest;

/* Answers a request to the file on `fd`; the body has not been read. True: the connection stays. */
typedef bool (*PeerHandler)(Peer *peer, PeerRequest *request, int fd);

struct Peer {
	int port;
	PeerHandler file; /* answers what goes to /file */
	PeerHandler soap; /* instead of the small GSS; NULL: the small GSS */
	const char *type; /* FILE or NOTEXIST */
	bool query_for_name;
	gint logins;
	gint validations;
	gint resolutions;
	gint files; /* requests to the file */
	gint connections;
	gint token; /* number of the only valid token */

	int listener;
	GThread *thread;
	GMutex lock;
	GPtrArray *workers; /* GThread */
	GArray *sockets;    /* int, open ones */
	bool closing;
};

Peer *peer_new(PeerHandler file);
void peer_free(Peer *peer);

/* Reads the body up to `most` bytes (G_MAXSIZE: all). */
bool peer_read_body(PeerRequest *request, int fd, gsize most);
bool peer_write(int fd, const char *format, ...) G_GNUC_PRINTF(2, 3);
bool peer_write_bytes(int fd, const void *bytes, gsize length);
/* Reads the body, writes "HTTP/1.1 STATUS", headers (each with its line end) and a body with its
 * length. */
bool peer_answer(PeerRequest *request, int fd, const char *status, const char *headers,
                 const char *body);
/* Closes with RST instead of FIN. */
void peer_reset(int fd);
/* Waits until the other side closes, or the peer ends. */
void peer_wait_closed(int fd);
/* Does the request carry the token that is valid now? */
bool peer_authorized(Peer *peer, const PeerRequest *request);
