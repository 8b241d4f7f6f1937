/* SPDX-License-Identifier: Apache-2.0 */
/* page_access: who may see what the page loads, beside the page itself. */
#ifndef SUPERVISOR_PAGE_ACCESS_H
#define SUPERVISOR_PAGE_ACCESS_H

#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/users/users.h"

#include <event2/http.h>

/* Says who has sent the request, by what it shows and by the configuration as it is now. 0; else the status of HTTP by which it is
 * refused, and *error is made. It may be asked again of a request whose answer has begun. */
int page_access_judge(struct daemon *daemon, struct evhttp_request *request, struct known *known, struct error *error);

#endif
