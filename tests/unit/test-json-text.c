// SPDX-License-Identifier: GPL-2.0-or-later
/* JSON text: what is put is what a JSON library reads, whatever the bytes; taking back leaves no trace. */
#include "unit.h"

#include <string.h>

#include "json-text.h"

/* What jansson reads of @json, which is freed. */
static json_t *read_back(struct json_text *json)
{
	json_error_t error;
	json_t *value = json_loadb(json->text, json->used, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);

	assert_false(json->failed);
	if (!value)
		fail_msg("%s: %.*s", error.text, (int)json->used, json->text);
	free(json->text);
	return value;
}

static void test_every_kind(void **state)
{
	struct json_text json = { 0 };
	json_t *value, *inner = json_pack("{s:[i,i]}", "a", 1, 2);

	json_text_begin(&json, NULL, '{');
	json_text_string(&json, "text", "plain");
	json_text_string(&json, "nothing", NULL);
	json_text_number(&json, "zero", 0);
	json_text_number(&json, "large", INT64_MAX);
	json_text_number(&json, "too_large", UINT64_MAX);
	json_text_bool(&json, "yes", true);
	json_text_bool(&json, "no", false);
	json_text_value(&json, "value", inner);
	json_text_begin(&json, "list", '[');
	json_text_begin(&json, NULL, '{');
	json_text_end(&json, '}');
	json_text_begin(&json, NULL, '[');
	json_text_end(&json, ']');
	json_text_number(&json, NULL, 7);
	json_text_end(&json, ']');
	json_text_null(&json, "last");
	json_text_end(&json, '}');
	value = read_back(&json);
	assert_int_equal(json_object_size(value), 10);
	assert_string_equal(json_string_value(json_object_get(value, "text")), "plain");
	assert_true(json_is_null(json_object_get(value, "nothing")));
	assert_int_equal(json_integer_value(json_object_get(value, "zero")), 0);
	assert_true(json_integer_value(json_object_get(value, "large")) == INT64_MAX);
	assert_true(json_integer_value(json_object_get(value, "too_large")) == INT64_MAX);
	assert_true(json_is_true(json_object_get(value, "yes")));
	assert_true(json_is_false(json_object_get(value, "no")));
	assert_true(json_equal(json_object_get(value, "value"), inner));
	assert_int_equal(json_array_size(json_object_get(value, "list")), 3);
	assert_true(json_is_null(json_object_get(value, "last")));
	json_decref(value);
	json_decref(inner);
}

static void assert_ms(uint64_t ns, const char *text)
{
	struct json_text json = { 0 };

	json_text_ms(&json, NULL, ns);
	assert_int_equal(json.used, strlen(text));
	assert_memory_equal(json.text, text, json.used);
	free(json.text);
}

static void test_milliseconds(void **state)
{
	assert_ms(0, "0.0");
	assert_ms(1, "0.000001");
	assert_ms(1000000, "1.0");
	assert_ms(1500000, "1.5");
	assert_ms(12034500000, "12034.5");
	assert_ms(UINT64_MAX, "18446744073709.551615");
}

static void assert_string(const char *value, const char *read)
{
	struct json_text json = { 0 };
	json_t *string;

	json_text_string(&json, NULL, value);
	for (size_t i = 0; i < json.used; i++)
		assert_in_range((unsigned char)json.text[i], ' ', 0x7f);
	string = read_back(&json);
	assert_string_equal(json_string_value(string), read);
	json_decref(string);
}

/* A VM's name may be any bytes but control characters, and a message may have been cut within a letter. */
static void test_strings(void **state)
{
	assert_string("", "");
	assert_string("a \"quoted\" back\\slash", "a \"quoted\" back\\slash");
	assert_string("tab\tand newline\n", "tab\tand newline\n");
	assert_string("\x01\x1f\x7f", "\x01\x1f\x7f");
	assert_string("Gr\xc3\xb6\xc3\x9f" "e \xf0\x9f\x8c\x8a", "Gr\xc3\xb6\xc3\x9f" "e \xf0\x9f\x8c\x8a");
	assert_string("cut \xc3", "cut ?");
	assert_string("\xff\xfe\"\xc0\x80", "??\"??");
}

static void test_takes_back(void **state)
{
	struct json_text json = { 0 };
	json_t *value;

	json_text_begin(&json, NULL, '[');
	for (unsigned int i = 0; i < 10000; i++) {
		size_t before = json.used;

		json_text_begin(&json, NULL, '{');
		json_text_number(&json, "i", i);
		json_text_end(&json, '}');
		if (i % 3)
			json.used = before;
	}
	json_text_end(&json, ']');
	value = read_back(&json);
	assert_int_equal(json_array_size(value), 3334);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(value, 3333), "i")), 9999);
	json_decref(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind),
		cmocka_unit_test(test_milliseconds),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_takes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
