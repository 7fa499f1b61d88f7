#include "pg_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "cmocka_all.h"
#include "temp_folder.h"

static struct temp_folder folder;
static char url[128];

/* `what` DIR [SQL], by the script. */
static int script(const char *what, const char *sql)
{
	char *command = sql ? tf_asprintf("spec/support/postgresql %s %s/pg \"%s\" >/dev/null", what,
				      folder.path, sql)
			    : tf_asprintf("PG_OWNER=%d spec/support/postgresql %s %s/pg", (int)getpid(), what,
				      folder.path);
	int rc = system(command); /* NOLINT(cert-env33-c): our own script */
	free(command);
	return rc;
}

int pg_server_start(void **state)
{
	(void)state;
	temp_folder_make(&folder);
	/* The server's own user has to reach its folder. */
	if (chmod(folder.path, 0711) < 0 || script("start", NULL) != 0)
		return -1;
	char *text = temp_folder_read(&folder, "pg/url");
	snprintf(url, sizeof url, "%.*s", (int)strcspn(text, "\n"), text);
	free(text);
	return 0;
}

int pg_server_stop(void **state)
{
	(void)state;
	int rc = script("kill9", NULL);
	temp_folder_remove(&folder);
	return rc;
}

const char *pg_server_url(void)
{
	return url;
}

void pg_server_control(const char *what)
{
	assert_int_equal(script(what, NULL), 0);
}

void pg_server_sql(const char *sql)
{
	assert_int_equal(script("sql", sql), 0);
}

void pg_server_empty(void)
{
	pg_server_sql("SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public "
		      "AUTHORIZATION tfhost");
}
