/* control.h - looking at the server and changing it while it runs: /_control on the same port.
 * Needs no token, is not delayed, counted or logged. Answers are JSON; 400 with a text for what
 * cannot be understood.
 *
 *   GET  /_control                the switches, counters, and how many one-shot faults are pending
 *   POST /_control                sets switches: name=value, joined by & (escaped), or one a line
 *                                 (not escaped)
 *   POST /_control/fault?QUERY    lines up a one-shot fault, see below
 *   POST /_control/release        lets all held requests go on; where there are none, those that
 *                                 would be, by a fault that is lined up already
 *   POST /_control/reset          no faults, counters 0, an empty log, the switches as on the
 *                                 command line
 *   POST /_control/revoke         all tokens are dead
 *   GET  /_control/log?since=N    the last requests, oldest first: number, time, method, target,
 *                                 operation and subject (SOAP), status (0: cut), received and sent
 *                                 (bytes of bodies), done, headers. Appears when the request's head
 *                                 is there; status and bytes come when it is done.
 *   GET  /_control/wait?counter=NAME&value=N&timeout=S
 *                                 answers when the counter is N or more: {"reached": true}, or
 *                                 false after S seconds (10)
 *
 * The first fault in line that matches strikes; for SOAP calls it is looked for once the call is
 * read, else when the head is there. Its parameters:
 *
 *   method, path                  globs over the method and the escaped path (default *)
 *   operation                     glob over the SOAP operation; only SOAP calls then
 *   times                         how many requests it strikes (1)
 *   skip                          how many it lets pass first (0)
 *   delay                         milliseconds before the work
 *   hold                          before, during, after: wait there for a release; counter `held`
 *   status, type, headers         of the canned answer; headers are lines "Name: value"
 *   cut                           before, during, after: break the connection there. `during` is
 *                                 the middle of an upload's body, else of the answer's; `after`:
 *                                 the work is done
 *   process=1                     do the work although the answer is canned (a 504 after success)
 *
 * The body of the request is the body of the canned answer (then status is 200 unless given).
 *
 * Counters: requests, connections, requests.now, connections.now, bytes.received (as they come),
 * bytes.sent (of slowed answers as they go, of others in the end), broken (cut or broken off), rest.METHOD, gss.OPERATION, auth.OPERATION, images.OPERATION,
 * images.registered, wsdl, malformed (SOAP requests that the schema forbids), faults (one-shot),
 * held, chance.cuts, chance.errors.
 */
#pragma once

#include "http.h"

extern const GlHandler gl_control_handler;
