//! `#[distri::service] impl WordCount { … }`

use std::sync::atomic::{AtomicU32, Ordering};

use distri::{Context, Result, id::PublicKey};

use crate::support::serve;

#[derive(Default)]
struct Tally {
    calls: AtomicU32,
}

#[distri::message]
#[derive(Debug, PartialEq)]
struct Size {
    width: u32,
    height: u32,
}

/// Counts calls.
#[distri::service(register = false)]
impl Tally {
    async fn nothing(&self) -> Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn swap(&self, size: Size, mut times: u32) -> Result<Size> {
        let Size {
            mut width,
            mut height,
        } = size;
        while times > 0 {
            std::mem::swap(&mut width, &mut height);
            times -= 1;
        }
        Ok(Size { width, height })
    }

    pub(crate) async fn caller(&self, cx: &Context) -> Result<PublicKey> {
        Ok(cx.caller().key)
    }

    async fn joined(&self, cx: &Context, words: Vec<String>, by: char) -> Result<String> {
        cx.check()?;
        Ok(words.join(&by.to_string()))
    }

    /// Calls a sibling through its own node: the context is a client.
    async fn twice(&self, cx: &Context) -> Result<u32> {
        let client = TallyClient::new(cx);
        client.nothing().await?;
        client.nothing().await?;
        Ok(self.calls.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn a_client_has_each_method_with_its_own_arguments() {
    let (_node, client) = serve(|node| node.service(Tally::default())).await;
    let tally = TallyClient::new(client);

    tally.nothing().await.unwrap();
    let swapped = tally
        .swap(
            Size {
                width: 4,
                height: 3,
            },
            3,
        )
        .await
        .unwrap();
    let joined = tally
        .joined(vec!["to".into(), "be".into()], '-')
        .await
        .unwrap();

    assert_eq!(
        swapped,
        Size {
            width: 3,
            height: 4
        }
    );
    assert_eq!(joined, "to-be");
}

#[tokio::test]
async fn a_method_that_takes_the_context_knows_its_caller() {
    let (_node, client) = serve(|node| node.service(Tally::default())).await;
    let key = client.key();

    let caller = TallyClient::new(client).caller().await.unwrap();

    assert_eq!(caller, key);
}

#[tokio::test]
async fn a_context_is_a_client() {
    let (_node, client) = serve(|node| node.service(Tally::default())).await;

    let calls = TallyClient::new(client).twice().await.unwrap();

    assert_eq!(calls, 2);
}

#[tokio::test]
async fn a_call_carries_options_of_its_own() {
    let (node, client) = serve(|node| node.service(Tally::default())).await;

    let call = TallyClient::new(client).nothing().to(node.key());
    let ((), served_by) = call.served().await.unwrap();

    assert_eq!(served_by, node.key());
}

/// Concrete generic types are types like others.
#[derive(Default)]
struct Shelf<T>(T);

#[distri::service(name = "shelf", register = false)]
impl Shelf<Vec<u8>> {
    async fn len(&self, more: Option<usize>) -> Result<usize> {
        Ok(self.0.len() + more.unwrap_or(0))
    }
}

#[tokio::test]
async fn one_instance_of_a_generic_type_can_be_a_service() {
    let (_node, client) = serve(|node| node.service(Shelf(vec![1, 2]))).await;

    assert_eq!(ShelfClient::new(client).len(Some(3)).await.unwrap(), 5);
}

#[derive(Default)]
struct Sharded;

#[distri::service(register = false)]
impl Sharded {
    #[method(placement = key(user))]
    async fn owner(&self, cx: &Context, r#type: u8, user: String) -> Result<PublicKey> {
        let _ = (r#type, user);
        Ok(cx.node().key())
    }

    #[method(placement = every)]
    async fn all(&self, cx: &Context, add: u32) -> Result<(PublicKey, u32)> {
        Ok((cx.node().key(), add + 1))
    }
}

#[tokio::test]
async fn calls_with_one_key_meet_one_node_and_calls_of_every_node_meet_all() {
    let network = distri::transport::memory::Network::new(3);
    let a = crate::support::node(&network)
        .service(Sharded)
        .start()
        .await
        .unwrap();
    let b = crate::support::node(&network)
        .service(Sharded)
        .start()
        .await
        .unwrap();
    let client = crate::support::client(&network, &[&a, &b]).await;
    client
        .wait_for_nodes(2, std::time::Duration::from_secs(5))
        .await
        .unwrap();
    let sharded = ShardedClient::new(client);

    let mut owners = Vec::new();
    for user in 0..16 {
        let owner = sharded.owner(1, user.to_string()).await.unwrap();
        assert_eq!(owner, sharded.owner(2, user.to_string()).await.unwrap());
        owners.push(owner);
    }
    let mut gathered: Vec<_> = sharded.all(4).await.unwrap();
    gathered.sort_by_key(|(node, _)| *node);

    assert!(owners.contains(&a.key()) && owners.contains(&b.key()));
    assert_eq!(gathered.len(), 2);
    for (node, answer) in gathered {
        assert_eq!(answer.unwrap(), (node, 5));
    }
}
