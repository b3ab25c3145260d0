/* sample - the event that is measured with: a course offering to the network whose packed data have 512 bytes. */
#ifndef ENLIGHT_BENCH_SAMPLE_H
#define ENLIGHT_BENCH_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#define SAMPLE_TYPE "eu.enlight.course.offering.v1"
#define SAMPLE_TIME "2026-11-23T09:30:00Z"
enum { SAMPLE_DATA = 512, UUID_LEN = 36 };

/* Packed data of the course with this id. */
void sample_data(uint8_t out[static SAMPLE_DATA], const char *course_id);

/* A UUIDv7 of that millisecond, without a NUL. Its last twelve digits are the number, and tell events apart. */
void sample_uuid(char out[static UUID_LEN], uint64_t time_ms, uint64_t number);

/* A packed io.cloudevents.v1.CloudEventBatch with one event, and where the ids stand in it. Batches are its repetition. */
struct sample {
	uint8_t *packed;
	size_t len;
	size_t id, subject, course; /* offsets of UUIDs */
};
int sample_new(struct sample *out); /* 0 or -1 */
void sample_stamp(const struct sample *s, uint8_t *copy, uint64_t time_ms, uint64_t number);

#endif
