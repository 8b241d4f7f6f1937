/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json_float.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *json_float(char text[JSON_FLOAT], double number)
{
	if (!isfinite(number)) {
		snprintf(text, JSON_FLOAT, "{\"$float\": \"%s\"}", isnan(number) ? "nan" : number > 0 ? "inf" : "-inf");
		return text;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, JSON_FLOAT, "%.*g", digits, number);
		if (strtod(text, NULL) == number)
			break;
	}
	if (!strpbrk(text, ".e"))
		strcat(text, ".0");
	return text;
}
