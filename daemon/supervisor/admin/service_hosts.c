/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/admin.h"

#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/view/cluster_view.h"

int admin_hosts(struct request *request)
{
	if (admin_check_sight(request, (struct span){0}) < 0)
		return -1;
	if (request->count > 0)
		return admin_refuse_params(request, "nothing");
	cluster_view_pack(request->daemon, request->session->client.rights, request->result);
	return 0;
}
