/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/page_access.h"

#include "daemon/supervisor/http/http_answer.h"
#include "daemon/supervisor/http/http_guard.h"
#include "daemon/supervisor/http/http_identity.h"

static int refuse(struct error *error, int status, const char *text)
{
	error_say(error, ERROR_DENIED, RAN_NO, "%s", text);
	return status;
}

static int check_rights(struct evhttp_request *request, const struct known *known, struct error *error)
{
	const struct rights *rights = known->identity ? known->identity->rights : NULL;
	const bool bare = !evhttp_find_header(evhttp_request_get_input_headers(request), "Authorization");

	if (rights_have_any(rights, RIGHT_DESCRIBE) || rights_have_any(rights, RIGHT_WATCH))
		return 0;
	return refuse(error, bare ? HTTP_UNAUTHORIZED : HTTP_FORBIDDEN, "the page needs the right describe or watch");
}

int page_access_judge(struct daemon *daemon, struct evhttp_request *request, struct known *known, struct error *error)
{
	int status = http_guard_check_site(request, error);

	if (status == 0)
		status = http_identify(daemon, request, known, error);
	if (status)
		return status;
	if (!daemon->users && !daemon->config.http_calls && !http_is_local(request))
		return refuse(error, HTTP_FORBIDDEN,
			      "from other machines the page needs users, or http_calls = yes, in the daemon's configuration");
	return check_rights(request, known, error);
}
