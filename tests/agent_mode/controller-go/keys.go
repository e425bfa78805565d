package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"
)

// A CA, a certificate for the agent and one for the program that it runs.
type keys struct {
	pool            *x509.CertPool
	authority       []byte
	own             tls.Certificate
	peerCertificate []byte
	peerKey         []byte
}

type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func makeKeys() (*keys, error) {
	authority, err := makeAuthority()
	if err != nil {
		return nil, err
	}
	made := &keys{pool: x509.NewCertPool(), authority: encode("CERTIFICATE", authority.certificate.Raw)}
	made.pool.AddCert(authority.certificate)
	certificate, key, err := authority.issue(serverName)
	if err != nil {
		return nil, err
	}
	if made.own, err = tls.X509KeyPair(certificate, key); err != nil {
		return nil, err
	}
	made.peerCertificate, made.peerKey, err = authority.issue("program")
	return made, err
}

func template(serial int64, name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
}

func makeAuthority() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	it := template(1, "authority")
	it.IsCA, it.BasicConstraintsValid, it.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, it, it, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &issuer{certificate, key}, err
}

// PEM of a certificate for the name, and of its key.
func (i *issuer) issue(name string) ([]byte, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	it := template(2, name)
	it.DNSNames = []string{name}
	it.KeyUsage = x509.KeyUsageDigitalSignature
	it.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, it, i.certificate, &key.PublicKey, i.key)
	if err != nil {
		return nil, nil, err
	}
	private, err := x509.MarshalECPrivateKey(key)
	return encode("CERTIFICATE", der), encode("EC PRIVATE KEY", private), err
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
