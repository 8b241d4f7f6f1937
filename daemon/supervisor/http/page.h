/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page: the page for people, and what it asks for:
 *
 *   /                    the page: page.html, page.css and page_*.js in one, the same for everybody
 *   /events              a stream of what changes (viewers.h): ?pool=NAME also of the slots of a pool, &clients=yes also of clients
 *   /history             calls per second of all pools, in the last ten minutes; ?pool=NAME: all that is known of one
 *   /describe?pool=NAME  its class, methods and types, as objpool.describe tells them
 *
 * All but the page itself show only what the user may see. Where there are no users, they are for this machine alone, unless
 * http_calls lets everybody call anyway.
 */
#ifndef SUPERVISOR_PAGE_H
#define SUPERVISOR_PAGE_H

#include "daemon/supervisor/http/viewers.h"

/* Answer a request of this path, a GET or a HEAD. */
void page_answer(struct evhttp_request *request);
void page_answer_events(struct viewers *viewers, struct evhttp_request *request);
void page_answer_history(struct viewers *viewers, struct evhttp_request *request);
void page_answer_description(struct viewers *viewers, struct evhttp_request *request);

#endif
