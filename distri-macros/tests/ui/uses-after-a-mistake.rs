// One mistake, and callers that use what is generated in every way: one message.

use distri::{Client, Node, Result, service::Service};

#[derive(Default)]
struct WordCount;

#[distri::service]
impl WordCount {
    async fn count(&self, text: &str, least: u32) -> Result<usize> {
        Ok(text.len() + least as usize)
    }

    async fn good(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

#[distri::service]
trait Count {
    async fn count(&self, text: String) -> Result<usize>;
}

struct Counter;

#[distri::service(init = Counter::open)]
impl Count for Counter {
    async fn count(&self, text: String) -> Result<usize> {
        Ok(text.len())
    }
}

impl Counter {
    async fn open(_: &distri::NodeHandle, (): ()) -> Result<Self> {
        Ok(Self)
    }
}

async fn uses(client: Client) -> Result<usize> {
    let _ = Node::builder().service(WordCount).service(Counter);
    let _ = WordCount.descriptor();
    let _ = WordCountClient::descriptor().name.len();
    let words = WordCountClient::new(client.clone());
    let counted: usize = words.clone().count("to be".to_owned(), 3).await?;
    let counter = CountClient::new(client);
    Ok(words.good("or not".into()).await? + counter.count("to be".into()).await? + counted)
}

fn main() {}
