package webhook

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
)

// What is wrong with certificates and keys, as it follows the name of a field.
// What the parsers of the standard library say may repeat what was submitted.
var (
	errNoCertificate  = errors.New("has no certificate: give it in PEM, beginning with -----BEGIN CERTIFICATE-----")
	errBadCertificate = errors.New("has a part that is no certificate in PEM")
	errNoKey          = errors.New("has no private key: give it in PEM, beginning with -----BEGIN PRIVATE KEY-----")
	errEncryptedKey   = errors.New("is encrypted: give it without a passphrase")
	errBadKey         = errors.New("is not a private key that can be read: RSA, ECDSA and Ed25519 are, as PKCS #8, PKCS #1 or SEC 1")
	errLargeKey       = errors.New("is an RSA key of more than 4096 or less than 2048 bits")
	errForeignKey     = errors.New("does not fit the certificate")
)

// Keys that are larger cost more at each connection than anybody gains by them.
const (
	minRSABits = 2048
	maxRSABits = 4096
)

// parseCertificates reads one or more certificates in PEM.
func parseCertificates(text string) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	block, rest := pem.Decode([]byte(text))
	for ; block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, errBadCertificate
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errBadCertificate
		}
		certificates = append(certificates, certificate)
	}
	if bytes.Contains(rest, []byte("-----BEGIN")) { // one that was cut off, say
		return nil, errBadCertificate
	}
	if len(certificates) == 0 {
		return nil, errNoCertificate
	}
	return certificates, nil
}

// withKey joins a chain with the private key of its first certificate.
func withKey(chain []*x509.Certificate, text string) (*tls.Certificate, error) {
	key, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	public, ok := chain[0].PublicKey.(interface{ Equal(x crypto.PublicKey) bool })
	if !ok || !public.Equal(key.Public()) {
		return nil, errForeignKey
	}
	certificate := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, link := range chain {
		certificate.Certificate = append(certificate.Certificate, link.Raw)
	}
	return certificate, nil
}

// parseKey reads the first private key of a text in PEM.
func parseKey(text string) (crypto.Signer, error) {
	block, rest := pem.Decode([]byte(text))
	for block != nil && !strings.HasSuffix(block.Type, "PRIVATE KEY") { // the parameters of a curve, as openssl writes them
		block, rest = pem.Decode(rest)
	}
	if block == nil {
		return nil, errNoKey
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, errEncryptedKey
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		key, err = parseOldKey(block.Bytes)
	}
	if err != nil {
		return nil, errBadKey
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, errLargeKey
		}
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	default:
		return nil, errBadKey
	}
}

// parseOldKey reads the forms from before PKCS #8.
func parseOldKey(der []byte) (any, error) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	return x509.ParseECPrivateKey(der)
}
