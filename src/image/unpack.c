/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacking what we did not write.
 *
 * protobuf_c_message_unpack() is safe against bad lengths and wire types, but it recurses as deep
 * as the bytes say and allocates a whole struct for each empty submessage of two bytes.  So the
 * bytes are walked once before, counting both.
 */
#include "image/image.h"

#include <errno.h>

#define DEPTH_MAX  24		/* cgroup directories nest; nothing else goes below 6 */
#define MEMORY_MAX (256u << 20) /* of one message, unpacked */

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct walk {
	uint64_t memory;
	const char *why;
};

static bool varint(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
		uint8_t b = *(*at)++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

static bool refuse(struct walk *w, const char *why)
{
	w->why = why;
	return false;
}

/* The bytes of one field; AT is behind its tag.  */
static bool field_length(const uint8_t **at, const uint8_t *end, enum wire wire, uint64_t *ret)
{
	uint64_t ignored;

	switch (wire) {
	case WIRE_VARINT:
		*ret = 0;
		return varint(at, end, &ignored);
	case WIRE_64:
		*ret = 8;
		return true;
	case WIRE_32:
		*ret = 4;
		return true;
	case WIRE_BYTES:
		return varint(at, end, ret);
	}
	return false;
}

static bool is_message(const ProtobufCFieldDescriptor *f, enum wire wire)
{
	return f && f->type == PROTOBUF_C_TYPE_MESSAGE && wire == WIRE_BYTES;
}

/* What a field takes beside the message struct itself. */
static uint64_t field_memory(const ProtobufCFieldDescriptor *f, enum wire wire, uint64_t len)
{
	uint64_t each = 16; /* an element of an array, or the note of an unknown field */

	if (wire != WIRE_BYTES || is_message(f, wire))
		return each;
	/* scalars can be packed, of one byte each here and of eight there */
	if (f && f->label == PROTOBUF_C_LABEL_REPEATED && f->type != PROTOBUF_C_TYPE_STRING &&
	    f->type != PROTOBUF_C_TYPE_BYTES)
		return each + 8 * len;
	return each + len;
}

static bool walk(struct walk *w, const ProtobufCMessageDescriptor *type, const uint8_t *at,
		 const uint8_t *end, unsigned depth)
{
	if (depth > DEPTH_MAX)
		return refuse(w, "messages nest too deep");
	w->memory += type->sizeof_message;
	while (at < end) {
		const ProtobufCFieldDescriptor *f;
		uint64_t tag, len;

		if (!varint(&at, end, &tag) || tag >> 3 == 0 || tag >> 3 > UINT32_MAX)
			return refuse(w, "bad field number");
		if (!field_length(&at, end, tag & 7, &len) || len > (uint64_t)(end - at))
			return refuse(w, "a field is cut off");
		f = protobuf_c_message_descriptor_get_field(type, tag >> 3);
		w->memory += field_memory(f, tag & 7, len);
		if (w->memory > MEMORY_MAX)
			return refuse(w, "message is too large");
		if (is_message(f, tag & 7) && !walk(w, f->descriptor, at, at + len, depth + 1))
			return false;
		at += len;
	}
	return true;
}

int image_unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data, size_t len,
		 const char *name, ProtobufCMessage **ret)
{
	struct walk w = {};
	ProtobufCMessage *msg;

	if (!walk(&w, type, data, data + len, 0))
		return err_set(EBADMSG, "%s: %s", name, w.why);
	msg = protobuf_c_message_unpack(type, NULL, len, data);
	if (!msg)
		return err_set(EBADMSG, "%s: not a %s message", name, type->name);
	*ret = msg;
	return 0;
}

void image_record_free(void *msg_ptr)
{
	ProtobufCMessage **msg = msg_ptr;

	if (*msg)
		protobuf_c_message_free_unpacked(*msg, NULL);
	*msg = NULL;
}
