/* test-gss-client.h - a client whose whole platform is a scripted peer, for the tests of the GSS
 * client. */
#pragma once

#include "test-gss-peer.h"
#include "test-gss-sync.h"

#define STALL_MS 400
#define RESPONSE_MS 700
#define LARGE (6 * 1024 * 1024)

typedef struct {
	Peer *peer;
	GssClient *client;
	GssResource *resource;
} Fixture;

/* The client is not asked anything yet; `resource` is NULL. */
void set_up(Fixture *f, PeerHandler file);
void tear_down(Fixture *f);
GssClient *make_client(int port);
GssClient *make_client_at(const char *url);
/* Resolves x://file anew. */
void resolve(Fixture *f);
/* Reads, replaces or removes the file; `code` is the errno that must come, 0: none. */
void assert_read(Fixture *f, int code);
void assert_update(Fixture *f, gsize length, int code);
void assert_remove(Fixture *f, int code);

/* Writes `canned` whatever was asked, and closes. */
extern const char *canned;
bool answer_canned(Peer *peer, PeerRequest *request, int fd);
