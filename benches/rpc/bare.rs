//! Bare frames over TLS 1.3: what a program reaches that has no framework at all, and so the line
//! to which frameworks are compared.
//!
//! A frame has a 12-byte header. On each side one task writes: it drains its queue into one buffer
//! and writes that once. The reader takes every complete frame of a read. The server answers in the
//! reader, or gives each call a task. There are no deadlines, no cancellation, no bounds, no codec.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    version::TLS13,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::{ITEM, ITEMS, system::Connection};

const HEADER_LEN: usize = 12;

/// Room for one read.
const READ: usize = 128 * 1024;

/// Bytes gathered for one write at most; a frame longer than that goes alone.
const GATHER: usize = 256 * 1024;

const CALL: u32 = 0;
const STREAM: u32 = 1;
const REPLY: u32 = 2;
const ITEM_OF_STREAM: u32 = 3;
const END: u32 = 4;

struct Frame {
    kind: u32,
    id: u32,
    body: Bytes,
}

/// Where a call is answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handler {
    /// In the task that reads.
    InPlace,
    /// In a task of its own.
    Task,
}

pub(crate) async fn serve(handler: Handler) -> (String, impl Future<Output = ()>) {
    let (config, certificate) = server_config();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let target = format!("{address} {}", hex(&certificate));
    let accept = async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                socket.set_nodelay(true).expect("a socket");
                if let Ok(tls) = acceptor.accept(socket).await {
                    serve_link(tls, handler).await;
                }
            });
        }
    };
    (target, accept)
}

async fn serve_link(link: impl AsyncRead + AsyncWrite + Send + 'static, handler: Handler) {
    let (reader, writer) = tokio::io::split(link);
    let (queue, waiting) = mpsc::unbounded_channel();
    tokio::spawn(write_frames(waiting, writer));
    let item = Bytes::from(vec![7; ITEM]);
    let mut frames = Frames::new(reader);
    while let Some(Frame { kind, id, body }) = frames.next().await {
        if kind == STREAM {
            for _ in 0..ITEMS {
                answer(&queue, ITEM_OF_STREAM, id, item.clone());
            }
            answer(&queue, END, id, Bytes::new());
            continue;
        }
        match handler {
            Handler::InPlace => answer(&queue, REPLY, id, body),
            Handler::Task => {
                let queue = queue.clone();
                tokio::spawn(async move { answer(&queue, REPLY, id, body) });
            }
        }
    }
}

fn answer(queue: &mpsc::UnboundedSender<Frame>, kind: u32, id: u32, body: Bytes) {
    // A queue that is gone leaves a reader that soon ends.
    let _ = queue.send(Frame { kind, id, body });
}

#[derive(Clone)]
pub(crate) struct Client {
    queue: mpsc::UnboundedSender<Frame>,
    waiting: Arc<Mutex<Waiting>>,
}

/// Who waits for what, by id.
#[derive(Default)]
struct Waiting {
    places: Vec<Option<Waiter>>,
    free: Vec<u32>,
}

enum Waiter {
    Reply(oneshot::Sender<Bytes>),
    Items(mpsc::Sender<Bytes>),
}

pub(crate) async fn connect(target: &str) -> Client {
    let (address, certificate) = target.split_once(' ').expect("two words");
    let config = client_config(&unhex(certificate));
    let socket = TcpStream::connect(address).await.expect("a server");
    socket.set_nodelay(true).expect("a socket");
    let name = ServerName::try_from("localhost").expect("a name");
    let tls = TlsConnector::from(Arc::new(config))
        .connect(name, socket)
        .await
        .expect("a TLS server");
    let (reader, writer) = tokio::io::split(tls);
    let (queue, outgoing) = mpsc::unbounded_channel();
    tokio::spawn(write_frames(outgoing, writer));
    let waiting = Arc::new(Mutex::new(Waiting::default()));
    let client = Client {
        queue,
        waiting: waiting.clone(),
    };
    tokio::spawn(async move {
        let mut frames = Frames::new(reader);
        while let Some(frame) = frames.next().await {
            deliver(&waiting, frame).await;
        }
    });
    client
}

async fn deliver(waiting: &Mutex<Waiting>, frame: Frame) {
    let lock = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
    if frame.kind == ITEM_OF_STREAM {
        let place = lock().places[frame.id as usize].take();
        if let Some(Waiter::Items(items)) = place {
            let _ = items.send(frame.body).await;
            lock().places[frame.id as usize] = Some(Waiter::Items(items));
        }
        return;
    }
    let place = {
        let mut waiting = lock();
        waiting.free.push(frame.id);
        waiting.places[frame.id as usize].take()
    };
    if let Some(Waiter::Reply(reply)) = place {
        let _ = reply.send(frame.body);
    }
}

impl Client {
    fn begin(&self, kind: u32, body: Bytes, waiter: Waiter) {
        let id = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let id = waiting.free.pop().unwrap_or_else(|| {
                waiting.places.push(None);
                waiting.places.len() as u32 - 1
            });
            waiting.places[id as usize] = Some(waiter);
            id
        };
        assert!(
            self.queue.send(Frame { kind, id, body }).is_ok(),
            "the link stands"
        );
    }
}

impl Connection for Client {
    async fn echo(&mut self, payload: Bytes) -> usize {
        let (sender, reply) = oneshot::channel();
        self.begin(CALL, payload, Waiter::Reply(sender));
        reply.await.expect("a reply").len()
    }

    async fn stream(&mut self) -> usize {
        let (sender, mut items) = mpsc::channel(64);
        self.begin(STREAM, Bytes::new(), Waiter::Items(sender));
        let mut bytes = 0;
        while let Some(item) = items.recv().await {
            bytes += item.len();
        }
        bytes
    }
}

async fn write_frames(
    mut queue: mpsc::UnboundedReceiver<Frame>,
    mut writer: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(GATHER);
    while let Some(frame) = queue.recv().await {
        put(frame, &mut buffer);
        while buffer.len() < GATHER
            && let Ok(frame) = queue.try_recv()
        {
            put(frame, &mut buffer);
        }
        writer.write_all(&buffer).await?;
        writer.flush().await?;
        buffer.clear();
    }
    Ok(())
}

fn put(frame: Frame, buffer: &mut BytesMut) {
    buffer.put_u32_le(frame.body.len() as u32);
    buffer.put_u32_le(frame.kind);
    buffer.put_u32_le(frame.id);
    buffer.extend_from_slice(&frame.body);
}

/// The frames that come in.
struct Frames<R> {
    reader: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: BytesMut::with_capacity(READ),
        }
    }

    /// The next frame, or `None` when the other end is gone.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = take(&mut self.buffer) {
                return Some(frame);
            }
            self.buffer.reserve(READ);
            match self.reader.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

fn take(buffer: &mut BytesMut) -> Option<Frame> {
    let mut header = buffer.get(..HEADER_LEN)?;
    let len = header.get_u32_le() as usize;
    let (kind, id) = (header.get_u32_le(), header.get_u32_le());
    if buffer.len() < HEADER_LEN + len {
        buffer.reserve(HEADER_LEN + len - buffer.len());
        return None;
    }
    buffer.advance(HEADER_LEN);
    let body = buffer.split_to(len).freeze();
    Some(Frame { kind, id, body })
}

/// TLS 1.3 with an Ed25519 key, as distri has it, but only the server proves one.
fn server_config() -> (ServerConfig, Vec<u8>) {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .and_then(|parameters| parameters.self_signed(&key))
        .expect("a certificate");
    let secret = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("suites of TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)
        .expect("a certificate and its key");
    config.send_tls13_tickets = 0;
    (config, certificate.der().to_vec())
}

fn client_config(certificate: &[u8]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from(certificate.to_vec()))
        .expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .expect("suites of TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config
}

/// With the suite that distri prefers first.
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = vec![rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    Arc::new(provider)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    digits
        .map(|pair| std::str::from_utf8(pair).expect("ASCII"))
        .map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits"))
        .collect()
}
