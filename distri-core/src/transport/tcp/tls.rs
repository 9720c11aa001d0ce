//! TLS 1.3 in which both ends are known by a raw Ed25519 key (RFC 7250, RFC 8410).
//!
//! Makes the two rustls configurations of a transport, once, and reads the proven key off a finished
//! handshake. There are no certificates, names, dates or authorities: the key is the identity, and
//! the only question is whether the other end holds it. What rustls asks of a verifier is answered
//! here: the key must be one well-formed Ed25519 key, the handshake must be signed with it, and for
//! whoever dials it must be the expected one.

use std::sync::{Arc, OnceLock};

use rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, Error,
    PeerIncompatible, ServerConfig, SignatureAlgorithm, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature_with_raw_key,
    },
    pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime},
    server::{
        AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::{CertifiedKey, Signer, SigningKey},
    version::TLS13,
};

use crate::{id::PublicKey, identity::Identity};

/// What both ends must speak above TLS (ALPN, RFC 7301). A change of the rpc protocol that old
/// nodes cannot follow gets a new number here.
pub(super) const PROTOCOL: &[u8] = b"distri/1";

/// An Ed25519 key as TLS carries it: SubjectPublicKeyInfo (RFC 8410 §4) has one spelling, this
/// prefix and the 32 bytes.
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Both configurations of one identity.
pub(super) struct Tls {
    client: ClientConfig,
    server: Arc<ServerConfig>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Tls {
    pub(super) fn new(identity: &Identity) -> Self {
        let provider = Arc::new(provider());
        let algorithms = provider.signature_verification_algorithms;
        let key = Arc::new(CertifiedKey::new(
            vec![encode(identity.public())],
            Arc::new(HandshakeKey(identity.clone())),
        ));
        Self {
            client: client_config(
                &provider,
                &key,
                ExpectedKey::new(identity.public(), algorithms),
            ),
            server: Arc::new(server_config(&provider, &key)),
            algorithms,
        }
    }

    /// For accepting; the same for every link.
    pub(super) fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// For dialing `expected`, with the verifier, which knows afterwards who answered.
    pub(super) fn client(&self, expected: PublicKey) -> (Arc<ClientConfig>, Arc<ExpectedKey>) {
        let verifier = Arc::new(ExpectedKey::new(expected, self.algorithms));
        let mut config = self.client.clone();
        config
            .dangerous()
            .set_certificate_verifier(Arc::clone(&verifier) as _);
        (Arc::new(config), verifier)
    }
}

/// The key that the other end has proved in a finished handshake.
///
/// # Errors
/// If it has agreed on no protocol: rustls refuses a wrong ALPN itself, but lets a missing one pass.
pub(super) fn proven_key(connection: &CommonState) -> Result<PublicKey, Error> {
    if connection.alpn_protocol() != Some(PROTOCOL) {
        return Err(Error::NoApplicationProtocol);
    }
    match connection.peer_certificates() {
        Some([key]) => decode(key),
        _ => Err(Error::NoCertificatesPresented),
    }
}

/// The name TLS asks for; never sent (SNI is off) and never checked, since keys are.
pub(super) fn server_name() -> ServerName<'static> {
    ServerName::try_from("distri.invalid").expect("the name is valid DNS")
}

fn provider() -> CryptoProvider {
    CryptoProvider {
        // Both ends have AES in hardware nearly always, and then 128 bits are the fastest of three
        // suites that nobody can break.
        cipher_suites: vec![
            ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
            ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
            ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..ring::default_provider()
    }
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    key: &Arc<CertifiedKey>,
    verifier: ExpectedKey,
) -> ClientConfig {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has suites of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(
            Arc::clone(key),
        )));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.enable_sni = false;
    // Links live long, so a resumed handshake would save little, and both ends would keep state for
    // it and let a key that was proved once stand for a proof now.
    config.resumption = Resumption::disabled();
    config
}

fn server_config(provider: &Arc<CryptoProvider>, key: &Arc<CertifiedKey>) -> ServerConfig {
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has suites of TLS 1.3")
        .with_client_cert_verifier(Arc::new(AnyKey { algorithms }))
        .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(
            Arc::clone(key),
        )));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

/// Signs handshakes for rustls, so that no second copy of the secret is made.
#[derive(Debug, Clone)]
struct HandshakeKey(Identity);

impl SigningKey for HandshakeKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| Box::new(self.clone()) as _)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for HandshakeKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Accepts whoever proves any key; the node decides whom it admits.
#[derive(Debug)]
struct AnyKey {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        only_key(key, further)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(older_tls())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_handshake(message, key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Accepts only whoever proves the key that was dialed.
#[derive(Debug)]
pub(super) struct ExpectedKey {
    expected: PublicKey,
    /// Who answered; set once they have proved it.
    found: OnceLock<PublicKey>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ExpectedKey {
    fn new(expected: PublicKey, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self {
            expected,
            found: OnceLock::new(),
            algorithms,
        }
    }

    /// The key that was proved in place of the expected one.
    pub(super) fn wrong_key(&self) -> Option<PublicKey> {
        self.found
            .get()
            .copied()
            .filter(|found| *found != self.expected)
    }
}

impl ServerCertVerifier for ExpectedKey {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        further: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // Compared with the expected key only once it is proved: till then it is but a claim, and
        // would be reported as the key found.
        only_key(key, further)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(older_tls())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let valid = verify_handshake(message, key, signed, &self.algorithms)?;
        let found = decode(key)?;
        if *self.found.get_or_init(|| found) != self.expected {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(valid)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

fn verify_handshake(
    message: &[u8],
    key: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = SubjectPublicKeyInfoDer::from(key.as_ref());
    verify_tls13_signature_with_raw_key(message, &key, signed, algorithms)
}

/// Never used, since only TLS 1.3 is configured; should that change by mistake, TLS 1.2 still fails.
fn older_tls() -> Error {
    PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into()
}

fn only_key(key: &CertificateDer<'_>, further: &[CertificateDer<'_>]) -> Result<PublicKey, Error> {
    if !further.is_empty() {
        return Err(CertificateError::BadEncoding.into());
    }
    decode(key)
}

fn encode(key: PublicKey) -> CertificateDer<'static> {
    CertificateDer::from([&SPKI_PREFIX, key.as_bytes().as_slice()].concat())
}

fn decode(spki: &CertificateDer<'_>) -> Result<PublicKey, Error> {
    spki.strip_prefix(&SPKI_PREFIX)
        .and_then(|key| key.try_into().ok())
        .map(PublicKey::from_bytes)
        .filter(|key| !key.is_weak())
        .ok_or_else(|| CertificateError::BadEncoding.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_survives_the_form_tls_carries() {
        let key = Identity::generate().public();

        assert_eq!(decode(&encode(key)), Ok(key));
    }

    #[test]
    fn only_one_strong_ed25519_key_and_nothing_after_it_is_accepted() {
        let strong = encode(Identity::generate().public());
        let longer = CertificateDer::from([strong.as_ref(), &[0]].concat());
        let shorter = CertificateDer::from(strong[..43].to_vec());
        let mut x25519 = strong.to_vec();
        x25519[8] = 0x6e;
        let weak = encode(PublicKey::from_bytes([0; 32]));

        for bad in [longer, shorter, CertificateDer::from(x25519), weak] {
            assert!(decode(&bad).is_err(), "{bad:?}");
        }
        assert!(only_key(&strong, &[]).is_ok());
        assert!(only_key(&strong, std::slice::from_ref(&strong)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_key_or_an_error(bytes: Vec<u8>) {
            let _ = decode(&CertificateDer::from(bytes));
        }
    }
}
