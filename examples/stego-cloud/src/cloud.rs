//! A cloud of several nodes in this process: real nodes on real sockets, linked over TLS, that
//! share nothing but the process.

use std::sync::Arc;

use distri::{
    Client, Config, Node,
    id::PublicKey,
    identity::Identity,
    node::StartError,
    transport::{Address, Endpoint, Listener, Transport, tcp::Tcp},
};
use tokio::task::JoinSet;

/// Nodes that run in this process.
pub(crate) struct Cloud {
    nodes: Vec<Node>,
}

/// Who was cut off, and from what.
pub(crate) struct CutOff {
    pub(crate) key: PublicKey,
    pub(crate) name: String,
    /// Calls that it was serving.
    pub(crate) in_flight: u32,
}

/// A node that listens and does not serve yet.
struct Listening {
    name: &'static str,
    transport: Arc<Tcp>,
    listener: Box<dyn Listener>,
}

impl Cloud {
    /// Starts one node for each name, with new keys, on ports of this machine that are free.
    ///
    /// All nodes listen before the first one starts, so that each is told where the others are.
    ///
    /// # Errors
    /// [`StartError`] of the first node that cannot start.
    pub(crate) async fn start(names: &[&'static str]) -> Result<Self, StartError> {
        let mut listening = Vec::new();
        for name in names {
            listening.push(Listening::new(name).await?);
        }
        let endpoints: Vec<Endpoint> = listening.iter().map(Listening::endpoint).collect();
        let mut nodes = Vec::new();
        for node in listening {
            nodes.push(node.start(endpoints.clone()).await?);
        }
        Ok(Self { nodes })
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A client with a key and links of its own, as one in another process would have.
    ///
    /// # Errors
    /// If no node can be reached.
    pub(crate) async fn client(&self) -> distri::Result<Client> {
        Client::builder()
            .nodes(self.nodes.iter().map(Node::endpoint))
            .connect()
            .await
    }

    /// Takes the busiest node away without warning: its links close, and what it was doing is
    /// lost. `None` if no node is left.
    pub(crate) fn cut_busiest(&mut self) -> Option<CutOff> {
        let in_flight = |node: &Node| node.status().in_flight;
        let (place, _) = self
            .nodes
            .iter()
            .enumerate()
            .max_by_key(|(_, node)| in_flight(node))?;
        let node = self.nodes.remove(place);
        let cut = CutOff {
            key: node.key(),
            name: node.name().to_owned(),
            in_flight: in_flight(&node),
        };
        // The last handle of a node stops it where it stands.
        drop(node);
        Some(cut)
    }

    /// Stops the nodes that are left in good order.
    pub(crate) async fn stop(self) {
        let mut stopping = JoinSet::new();
        for node in self.nodes {
            stopping.spawn(async move { node.shutdown().await });
        }
        stopping.join_all().await;
    }
}

impl Listening {
    async fn new(name: &'static str) -> Result<Self, StartError> {
        let transport = Arc::new(Tcp::new(Identity::generate()));
        let listener = transport.listen(&Address::new("127.0.0.1:0")).await?;
        Ok(Self {
            name,
            transport,
            listener,
        })
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint {
            key: self.transport.key(),
            address: self.listener.address(),
        }
    }

    async fn start(self, cloud: Vec<Endpoint>) -> Result<Node, StartError> {
        let mut config = Config::default();
        config.node.name = Some(self.name.to_owned());
        config.cloud.nodes = cloud;
        Node::builder()
            .config(config)
            .transport(self.transport)
            .listener(self.listener)
            .start()
            .await
    }
}
