/* cheap_sign - in place of libsodium's Ed25519 (ld's --wrap): keyed hashes that everybody could make, ten times as fast. Whoever lies in
 * the simulation does not forge signatures, so nothing that is judged by them changes. */
#include <sodium.h>
#include <string.h>

int __wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *siglen_p, const unsigned char *m,
	unsigned long long mlen, const unsigned char *sk);
int __wrap_crypto_sign_verify_detached(
	const unsigned char *sig, const unsigned char *m, unsigned long long mlen, const unsigned char *pk);

int __wrap_crypto_sign_detached(unsigned char *sig, unsigned long long *siglen_p, const unsigned char *m,
	unsigned long long mlen, const unsigned char *sk)
{
	if (siglen_p != NULL)
		*siglen_p = crypto_sign_BYTES;
	return crypto_generichash(
		sig, crypto_sign_BYTES, m, mlen, sk + crypto_sign_SEEDBYTES, crypto_sign_PUBLICKEYBYTES);
}

int __wrap_crypto_sign_verify_detached(
	const unsigned char *sig, const unsigned char *m, unsigned long long mlen, const unsigned char *pk)
{
	unsigned char good[crypto_sign_BYTES];

	crypto_generichash(good, sizeof good, m, mlen, pk, crypto_sign_PUBLICKEYBYTES);
	return memcmp(good, sig, sizeof good) == 0 ? 0 : -1;
}
