/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/certificate.h"

#include <stdlib.h>

static void free_names(struct certificate_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->names[i]);
	free(names->names);
}

void certificate_free(struct certificate *certificate)
{
	if (!certificate)
		return;
	free_names(&certificate->dns);
	free_names(&certificate->uris);
	free_names(&certificate->emails);
	free_names(&certificate->cns);
	free(certificate->subject);
	free(certificate);
}
