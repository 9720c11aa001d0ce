//! A TLS end that is not ours, right in all but what a test makes wrong.

use std::{io, sync::Arc, time::Duration};

use distri_core::{id::PublicKey, identity::Identity, transport::Address};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureAlgorithm,
    SignatureScheme,
    client::{
        ResolvesClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ClientHello, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::{CertifiedKey, Signer, SigningKey},
    version::TLS13,
};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

const PATIENCE: Duration = Duration::from_secs(20);

/// A TLS end that is not ours, and what is wrong with it.
#[derive(Clone)]
pub(super) struct Stranger {
    pub(super) identity: Identity,
    pub(super) shown: Vec<u8>,
    pub(super) copies: usize,
    pub(super) signs: Signs,
    pub(super) raw: bool,
    pub(super) protocols: Vec<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Signs {
    Truly,
    /// R neutral, s zero: holds for every message under a neutral key.
    Forged,
}

impl Stranger {
    pub(super) fn genuine() -> Self {
        let identity = Identity::generate();
        let shown = spki(identity.public());
        let protocols = vec!["distri/1"];
        Self {
            identity,
            shown,
            copies: 1,
            signs: Signs::Truly,
            raw: true,
            protocols,
        }
    }

    pub(super) async fn is_turned_away_by(&self, node: &Address) {
        match timeout(PATIENCE, self.dial(node)).await.unwrap() {
            Err(_) => {}
            // In TLS 1.3 the dialer may be done before it is refused.
            Ok(mut stream) => {
                timeout(PATIENCE, stream.read(&mut [0]))
                    .await
                    .unwrap()
                    .unwrap_err();
            }
        }
    }

    pub(super) async fn dial(
        &self,
        to: &Address,
    ) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting { raw: self.raw }))
            .with_client_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = self.alpn();
        let stream = TcpStream::connect(to.as_str()).await?;
        let name = ServerName::try_from("stranger.invalid").unwrap();
        TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    }

    pub(super) async fn serve(
        &self,
        listener: &TcpListener,
    ) -> io::Result<tokio_rustls::server::TlsStream<TcpStream>> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(Trusting { raw: self.raw }))
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = self.alpn();
        let (stream, _) = listener.accept().await?;
        TlsAcceptor::from(Arc::new(config)).accept(stream).await
    }

    fn alpn(&self) -> Vec<Vec<u8>> {
        self.protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect()
    }

    fn certified(&self) -> Option<Arc<CertifiedKey>> {
        let keys = vec![CertificateDer::from(self.shown.clone()); self.copies];
        (self.copies > 0).then(|| Arc::new(CertifiedKey::new(keys, Arc::new(self.clone()))))
    }
}

pub(super) fn spki(key: PublicKey) -> Vec<u8> {
    let prefix = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ];
    [&prefix[..], key.as_bytes()].concat()
}

impl std::fmt::Debug for Stranger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stranger")
    }
}

impl ResolvesClientCert for Stranger {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.certified()
    }

    fn only_raw_public_keys(&self) -> bool {
        self.raw
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Stranger {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certified()
    }

    fn only_raw_public_keys(&self) -> bool {
        self.raw
    }
}

impl SigningKey for Stranger {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(self.clone()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Stranger {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let mut forged = [0; 64];
        forged[0] = 1;
        Ok(match self.signs {
            Signs::Truly => self.identity.sign(message).as_bytes().to_vec(),
            Signs::Forged => forged.to_vec(),
        })
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Believes everything.
#[derive(Debug)]
struct Trusting {
    raw: bool,
}

type Verified = Result<HandshakeSignatureValid, rustls::Error>;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Verified {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Verified {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw
    }
}

impl ClientCertVerifier for Trusting {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Verified {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Verified {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        self.raw
    }
}
