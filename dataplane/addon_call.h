/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What every function of the addon needs: its arguments, checked, and a JavaScript error made of an
 * errno.
 *
 * A getter returns false when the argument is unfit; an exception is then pending, and the function
 * returns NULL. While a worker is being ended, much of Node-API fails: what a function returns must
 * be NULL then.
 */
#ifndef WEIR_ADDON_CALL_H
#define WEIR_ADDON_CALL_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/types.h>
#include <node_api.h>

#define CALL_ARGUMENTS_MAX 5
/* Fewer bytes are copied into a Buffer. Measured: no difference at 4 KiB, half the time at 1 MiB.
 */
#define GIVEN_BYTES_MIN 65536

struct call {
	napi_env env;
	const char *name; /* of the addon's function */
	char object[128]; /* what it works on, for the error; may be empty */
	napi_value argument[CALL_ARGUMENTS_MAX];
};

struct bytes {
	__u8 *data;
	size_t length;
};

static struct call call_begin(napi_env env, napi_callback_info info, const char *name)
{
	struct call call = {.env = env, .name = name};
	size_t count = CALL_ARGUMENTS_MAX;

	/* Missing arguments become undefined, which no getter takes. */
	napi_get_cb_info(env, info, &count, call.argument, NULL, NULL);
	return call;
}

static void set(struct call *call, napi_value object, const char *name, napi_value value)
{
	napi_set_named_property(call->env, object, name, value);
}

static napi_value string_value(struct call *call, const char *text)
{
	napi_value value;

	napi_create_string_utf8(call->env, text, NAPI_AUTO_LENGTH, &value);
	return value;
}

static napi_value number_value(struct call *call, double number)
{
	napi_value value;

	napi_create_double(call->env, number, &value);
	return value;
}

static void free_given(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	free(data);
}

static napi_value bytes_value(struct call *call, const void *data, size_t length)
{
	napi_value value = NULL;

	napi_create_buffer_copy(call->env, length, data, NULL, &value);
	return value;
}

/* `data` is malloc'ed and given away. */
static napi_value given_bytes(struct call *call, void *data, size_t length)
{
	napi_value value = NULL;

	if (length < GIVEN_BYTES_MIN) {
		value = bytes_value(call, data, length);
		free(data);
		return value;
	}
	data = realloc(data, length) ?: data;
	if (napi_create_external_buffer(call->env, length, data, free_given, NULL, &value) !=
	    napi_ok)
		free(data);
	return value;
}

/* Error{code: 'EINVAL', errno: -22, syscall: 'mapUpdate weir_services'}. `errnum` is positive,
 * `detail` may be empty. */
static napi_value make_error(struct call *call, int errnum, const char *detail)
{
	const char *code = strerrorname_np(errnum) ?: "EUNKNOWN";
	char syscall[256], message[1024];
	napi_value error;

	snprintf(syscall, sizeof(syscall), "%s%s%s", call->name, call->object[0] ? " " : "",
		 call->object);
	snprintf(message, sizeof(message), "%s: %s, %s%s%s", code, strerror(errnum), syscall,
		 detail[0] ? ": " : "", detail);
	napi_create_error(call->env, string_value(call, code), string_value(call, message), &error);
	set(call, error, "errno", number_value(call, -errnum));
	set(call, error, "syscall", string_value(call, syscall));
	return error;
}

/* Throws. Returns NULL (for a getter: false), so that a function can end with it. */
static void *fail(struct call *call, int errnum)
{
	napi_throw(call->env, make_error(call, errnum, ""));
	return NULL;
}

__attribute__((format(printf, 3, 4))) static void *fail_with(struct call *call, int errnum,
							     const char *format, ...)
{
	char detail[512];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	napi_throw(call->env, make_error(call, errnum, detail));
	return NULL;
}

static bool get_string(struct call *call, napi_value value, const char *what, char *text,
		       size_t size)
{
	size_t length;

	/* Node-API cuts what does not fit, so ask for the length first. */
	if (napi_get_value_string_utf8(call->env, value, NULL, 0, &length) != napi_ok)
		return fail_with(call, EINVAL, "%s is not a string", what);
	if (length >= size)
		return fail_with(call, ENAMETOOLONG, "%s has %zu bytes, at most %zu fit", what,
				 length, size - 1);
	napi_get_value_string_utf8(call->env, value, text, size, &length);
	return true;
}

static bool get_u32(struct call *call, napi_value value, const char *what, __u32 *number)
{
	double wide;

	if (napi_get_value_double(call->env, value, &wide) != napi_ok || wide < 0 ||
	    wide > 0xffffffff || wide != (__u32)wide)
		return fail_with(call, EINVAL, "%s is not an integer of 32 bits", what);
	*number = wide;
	return true;
}

/* The bytes belong to JavaScript: they are good until the function returns. */
static bool get_bytes(struct call *call, napi_value value, const char *what, struct bytes *bytes)
{
	bool is_buffer = false;

	/* Node-API takes any typed array for a Buffer. */
	if (napi_is_buffer(call->env, value, &is_buffer) != napi_ok || !is_buffer ||
	    napi_get_buffer_info(call->env, value, (void **)&bytes->data, &bytes->length) !=
		    napi_ok)
		return fail_with(call, EINVAL, "%s is not a Buffer or typed array", what);
	return true;
}

/* An argument that may be missing: no bytes then. */
static bool get_optional_bytes(struct call *call, napi_value value, const char *what,
			       struct bytes *bytes)
{
	napi_valuetype type;

	if (napi_typeof(call->env, value, &type) == napi_ok && type == napi_undefined) {
		*bytes = (struct bytes){};
		return true;
	}
	return get_bytes(call, value, what, bytes);
}

static bool get_exact_bytes(struct call *call, napi_value value, const char *what, size_t length,
			    struct bytes *bytes)
{
	if (!get_bytes(call, value, what, bytes))
		return false;
	if (bytes->length != length)
		return fail_with(call, EINVAL, "%s has %zu bytes, it must have %zu", what,
				 bytes->length, length);
	return true;
}

static bool get_property(struct call *call, napi_value object, const char *name, napi_value *value)
{
	if (napi_get_named_property(call->env, object, name, value) != napi_ok)
		return fail_with(call, EINVAL, "there is no object with a property %s", name);
	return true;
}

#endif
