/* SPDX-License-Identifier: Apache-2.0 */
/* moment: points in time as people write them: "10m" and "1h30m" (ago), "2026-11-29T10:00:00Z", "2026-11-29 10:00" (local time),
 * "2026-11-29", or seconds since 1970. */
#ifndef CLI_MOMENT_H
#define CLI_MOMENT_H

#define MOMENT_FORMS "a time as 10m, 2h30m, 2026-11-29T10:00:00Z, \"2026-11-29 10:00\", or seconds since 1970"

/* Sets *seconds since 1970. `now`: likewise. 0, or -1: the text is none of these. */
int moment_parse(const char *text, double now, double *seconds);

#endif
