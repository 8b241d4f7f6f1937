/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http_admission.h"

#include "daemon/supervisor/http/http_answer.h"
#include "daemon/supervisor/http/http_identity.h"

void http_admission_refuse(struct daemon *daemon, struct evhttp_request *request, int status, const struct error *error)
{
	http_note_denied(daemon, request, error);
	http_answer_error(request, status, error);
}

int http_admission_rights(struct daemon *daemon, struct evhttp_request *request, struct rights **rights)
{
	struct error error;
	struct known known;

	const int status = http_identify(daemon, request, &known, &error);
	if (status)
		http_admission_refuse(daemon, request, status, &error);
	*rights = known.identity ? known.identity->rights : NULL;
	return status ? -1 : 0;
}

int http_admission_rate(struct evhttp_request *request, const struct rights *rights)
{
	struct error error;

	if (!rights || !rights->quota || quota_take_request(rights->quota, &error) == 0)
		return 0;
	http_answer_error(request, HTTP_TOO_MANY, &error);
	return -1;
}
