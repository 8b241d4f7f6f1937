/* SPDX-License-Identifier: Apache-2.0 */
/* The first call from C:  cc example.c $(pkg-config --cflags --libs objpool) -o example && ./example sim.step 7 */
#include <objpool/client.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	const char *method = argc > 1 ? argv[1] : "sim.step";
	const int number = argc > 2 ? atoi(argv[2]) : 1;
	struct objpool_client *client;
	struct objpool_result result;

	int rc = objpool_connect(&client, NULL, NULL);
	if (rc < 0) {
		fprintf(stderr, "no daemon: %s\n", strerror(-rc));
		return 3;
	}
	rc = objpool_callf(client, method, &result, "[i]", number);
	if (rc == 0) {
		struct objpool_reader reader = objpool_reader(result.value);
		double value;
		if (objpool_read_double(&reader, &value) == 0)
			printf("%g\n", value);
		else
			printf("%zu bytes that are no number\n", result.value.size);
	} else {
		fprintf(stderr, "%s\n", result.error ? result.error->message : strerror(-rc));
	}
	objpool_result_free(&result);
	objpool_close(client);
	return rc == 0 ? 0 : 1;
}
