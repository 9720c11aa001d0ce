//! tonic over TLS and plain. What its build script would generate from a `.proto` file is written by
//! hand, because that needs `protoc`.

use std::convert::Infallible;

use bytes::Bytes;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    body::Body,
    client,
    codegen::{BoxFuture, Context, Poll, Service, http, tokio_stream},
    server::{self, NamedService, ServerStreamingService, UnaryService},
    transport::{
        Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig,
        server::TcpIncoming,
    },
};
use tonic_prost::ProstCodec;

use super::{
    ITEM, ITEMS,
    bare::{hex, unhex},
    system::Connection,
};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    data: Bytes,
}

type Codec = ProstCodec<Payload, Payload>;
type AnyItems = Box<dyn Iterator<Item = Result<Payload, Status>> + Send>;
type Items = tokio_stream::Iter<AnyItems>;

#[derive(Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "bench.Echo";
}

impl UnaryService<Payload> for Echo {
    type Response = Payload;
    type Future = BoxFuture<Response<Payload>, Status>;

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(request.into_inner())) })
    }
}

impl ServerStreamingService<Payload> for Echo {
    type Response = Payload;
    type ResponseStream = Items;
    type Future = BoxFuture<Response<Items>, Status>;

    fn call(&mut self, _: Request<Payload>) -> Self::Future {
        let data = Bytes::from(vec![7; ITEM]);
        let item = move |_| Ok(Payload { data: data.clone() });
        let items: AnyItems = Box::new((0..ITEMS).map(item));
        Box::pin(async move { Ok(Response::new(tokio_stream::iter(items))) })
    }
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut grpc = server::Grpc::new(Codec::default());
        match request.uri().path() {
            "/bench.Echo/Echo" => Box::pin(async move { Ok(grpc.unary(Echo, request).await) }),
            "/bench.Echo/Stream" => {
                Box::pin(async move { Ok(grpc.server_streaming(Echo, request).await) })
            }
            path => unreachable!("nobody calls {path}"),
        }
    }
}

pub(crate) async fn serve(tls: bool) -> (String, impl Future<Output = ()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut target = listener.local_addr().expect("bound").to_string();
    // The default is 200, which holds back some of 1,024 calls.
    let mut server = Server::builder().max_concurrent_streams(4096);
    if tls {
        let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
        let rcgen::CertifiedKey { cert, signing_key } = issued.expect("a certificate");
        let identity = Identity::from_pem(cert.pem(), signing_key.serialize_pem());
        let config = ServerTlsConfig::new().identity(identity);
        server = server.tls_config(config).expect("a certificate");
        target = format!("{target} {}", hex(cert.pem().as_bytes()));
    }
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serve = server.add_service(Echo).serve_with_incoming(incoming);
    (target, async move { serve.await.expect("to serve") })
}

#[derive(Clone)]
pub(crate) struct Client(client::Grpc<Channel>);

pub(crate) async fn connect(target: &str) -> Client {
    let endpoint = match target.split_once(' ') {
        None => Endpoint::from_shared(format!("http://{target}")).expect("an address"),
        Some((address, pem)) => {
            let config = ClientTlsConfig::new()
                .ca_certificate(Certificate::from_pem(unhex(pem)))
                .domain_name("localhost");
            Endpoint::from_shared(format!("https://{address}"))
                .expect("an address")
                .tls_config(config)
                .expect("a certificate")
        }
    };
    let channel = endpoint.connect().await.expect("a server");
    Client(client::Grpc::new(channel))
}

impl Connection for Client {
    async fn echo(&mut self, data: Bytes) -> usize {
        self.0.ready().await.expect("the link stands");
        let path = http::uri::PathAndQuery::from_static("/bench.Echo/Echo");
        let request = Request::new(Payload { data });
        let reply = self.0.unary(request, path, Codec::default()).await;
        reply.expect("a reply").into_inner().data.len()
    }

    async fn stream(&mut self) -> usize {
        self.0.ready().await.expect("the link stands");
        let path = http::uri::PathAndQuery::from_static("/bench.Echo/Stream");
        let request = Request::new(Payload::default());
        let reply = self
            .0
            .server_streaming(request, path, Codec::default())
            .await;
        let mut items = reply.expect("a stream").into_inner();
        let mut bytes = 0;
        while let Some(item) = items.message().await.expect("an item") {
            bytes += item.data.len();
        }
        bytes
    }
}
