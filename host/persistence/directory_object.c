#include "persistence/directory_object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A string member, NULL where it is null or absent. */
static int string_of(struct tf_json object, const char *name, char **out, struct tf_err *err)
{
	struct tf_json v;
	*out = NULL;
	if (!tf_json_get(object, name, &v) || tf_json_type(v) == TF_JSON_NULL)
		return 0;
	*out = tf_json_strdup(v, err);
	return *out ? 0 : tf_err_prefix(err, "%s", name);
}

/* A uuid is needed, and is a name in a folder. */
static int uuid_of(struct tf_json object, char **out, struct tf_err *err)
{
	int rc = string_of(object, "uuid", out, err);
	if (rc == 0 && (!*out || !**out))
		rc = tf_err_set(err, TF_EFORMAT, "uuid: a string was expected");
	return rc;
}

static void value_of(struct tf_json object, const char *name, struct tf_value **out)
{
	struct tf_json v;
	*out = tf_json_get(object, name, &v) && tf_json_type(v) != TF_JSON_NULL ? tf_value_from(v) : NULL;
}

/* {day, month, year, hour, minute, second, microsecond} as the SQL backends spell it. */
static int time_of(struct tf_json object, const char *name, char **out, struct tf_err *err)
{
	static const struct {
		const char *name;
		int64_t least, most;
	} parts[] = {{"year", 1, 9999}, {"month", 1, 12}, {"day", 1, 31}, {"hour", 0, 23}, {"minute", 0, 59},
		{"second", 0, 60}, {"microsecond", 0, 999999}};
	enum { PARTS = sizeof parts / sizeof *parts };
	int64_t n[PARTS];
	struct tf_json when, part;
	*out = NULL;
	if (!tf_json_get(object, name, &when) || tf_json_type(when) == TF_JSON_NULL)
		return 0;
	for (int i = 0; i < PARTS; i++)
		if (!tf_json_get(when, parts[i].name, &part) || !tf_json_int64(part, &n[i]) ||
			n[i] < parts[i].least || n[i] > parts[i].most)
			return tf_err_set(err, TF_EFORMAT, "%s: %s: a number from %d to %d was expected",
				name, parts[i].name, (int)parts[i].least, (int)parts[i].most);
	char text[TF_STAMP_SIZE * 2];
	snprintf(text, sizeof text, "%04d-%02d-%02d %02d:%02d:%02d.%06d", (int)n[0], (int)n[1], (int)n[2],
		(int)n[3], (int)n[4], (int)n[5], (int)n[6]);
	*out = strdup(text);
	return 0;
}

int tf_directory_book(struct tf_json object, struct tf_book_detail *out, struct tf_err *err)
{
	*out = (struct tf_book_detail){0};
	int rc = uuid_of(object, &out->uuid, err);
	if (rc == 0)
		rc = string_of(object, "name", &out->name, err);
	if (rc == 0)
		rc = time_of(object, "created_at", &out->created_at, err);
	if (rc == 0)
		rc = time_of(object, "updated_at", &out->updated_at, err);
	value_of(object, "meta", &out->meta);
	if (rc < 0) {
		tf_book_detail_free(out);
		*out = (struct tf_book_detail){0};
	}
	return rc;
}

int tf_directory_flow(struct tf_json object, struct tf_flow_detail *out, struct tf_err *err)
{
	*out = (struct tf_flow_detail){0};
	int rc = uuid_of(object, &out->uuid, err);
	if (rc == 0)
		rc = string_of(object, "name", &out->name, err);
	if (rc == 0)
		rc = string_of(object, "state", &out->state, err);
	value_of(object, "meta", &out->meta);
	if (rc < 0) {
		tf_flow_detail_free(out);
		*out = (struct tf_flow_detail){0};
	}
	return rc;
}

/* A version is a string, or the list of a tuple's numbers: 1.0. */
static int version_of(struct tf_json atom, char **out, struct tf_err *err)
{
	struct tf_json v, part;
	*out = NULL;
	if (!tf_json_get(atom, "version", &v) || tf_json_type(v) != TF_JSON_ARRAY)
		return string_of(atom, "version", out, err);
	struct tf_buf text = TF_BUF_INIT;
	struct tf_json_iter it = tf_json_iter(v);
	while (tf_json_next(&it, NULL, &part)) {
		if (text.len)
			tf_buf_putc(&text, '.');
		tf_buf_append(&text, part.text, part.len);
	}
	*out = tf_buf_steal(&text);
	return 0;
}

static int read_atom(struct tf_json atom, struct tf_atom_detail *out, struct tf_err *err)
{
	int rc = uuid_of(atom, &out->uuid, err);
	if (rc == 0)
		rc = string_of(atom, "name", &out->name, err);
	if (rc == 0)
		rc = version_of(atom, &out->version, err);
	if (rc == 0)
		rc = string_of(atom, "state", &out->state, err);
	if (rc == 0)
		rc = string_of(atom, "intention", &out->intention, err);
	value_of(atom, "results", &out->results);
	value_of(atom, "failure", &out->failure);
	value_of(atom, "revert_results", &out->revert_results);
	value_of(atom, "revert_failure", &out->revert_failure);
	value_of(atom, "meta", &out->meta);
	return rc;
}

int tf_directory_atom(struct tf_json object, struct tf_atom_detail *out, struct tf_err *err)
{
	struct tf_json type, atom;
	*out = (struct tf_atom_detail){0};
	if (!tf_json_get(object, "type", &type) || tf_json_type(type) != TF_JSON_STRING)
		return tf_err_set(err, TF_EFORMAT, "type: a string was expected");
	out->is_retry = tf_json_string_is(type, "RETRY_DETAIL");
	if (!out->is_retry && !tf_json_string_is(type, "TASK_DETAIL"))
		return tf_err_set(err, TF_EFORMAT, "type: TASK_DETAIL or RETRY_DETAIL was expected");
	if (!tf_json_get(object, "atom", &atom))
		return tf_err_set(err, TF_EFORMAT, "atom: an object was expected");
	int rc = read_atom(atom, out, err);
	if (rc < 0) {
		tf_atom_detail_free(out);
		*out = (struct tf_atom_detail){0};
	}
	return rc;
}
