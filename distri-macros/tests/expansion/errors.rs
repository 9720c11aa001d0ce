//! Errors of authors: with a code, and typed again at the caller.

use std::fmt;

use distri::{Code, Error, Result, ServiceError};

use crate::support::serve;

#[distri::message]
#[derive(Debug, PartialEq)]
enum Refusal {
    TooSmall { needs: u64, holds: u64 },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::TooSmall { needs, holds } = self;
        write!(f, "the cover holds {holds} bytes, the payload has {needs}")
    }
}

impl std::error::Error for Refusal {}

impl ServiceError for Refusal {
    fn code(&self) -> Code {
        Code::FailedPrecondition
    }
}

type RefusalResult<T> = std::result::Result<T, Refusal>;

#[derive(Default)]
struct Hide;

#[distri::service(register = false)]
impl Hide {
    async fn own(&self, needs: u64) -> Result<(), Refusal> {
        Err(Refusal::TooSmall { needs, holds: 3 })
    }

    async fn alias(&self, needs: u64) -> RefusalResult<()> {
        Err(Refusal::TooSmall { needs, holds: 4 })
    }

    async fn mixed(&self, needs: u64) -> Result<u64> {
        if needs > 9 {
            Err(Refusal::TooSmall { needs, holds: 9 })?;
        }
        std::fs::read("/nonexistent").map_err(|_| Error::not_found("no such cover"))?;
        Ok(needs)
    }

    async fn io(&self) -> std::io::Result<()> {
        Err(std::io::Error::other("a secret path"))
    }
}

#[tokio::test]
async fn an_authors_error_comes_back_typed() {
    let (_node, client) = serve(|node| node.service(Hide)).await;
    let hide = HideClient::new(client);

    for (error, holds) in [
        (hide.own(5).await.unwrap_err(), 3),
        (hide.alias(5).await.unwrap_err(), 4),
        (hide.mixed(10).await.unwrap_err(), 9),
    ] {
        assert_eq!(error.code(), Code::FailedPrecondition);
        let details = error.details::<Refusal>().unwrap();
        assert_eq!(error.to_string(), details.to_string());
        let Refusal::TooSmall { holds: told, .. } = details;
        assert_eq!(told, holds);
    }
}

#[tokio::test]
async fn other_errors_come_with_their_code() {
    let (_node, client) = serve(|node| node.service(Hide)).await;
    let hide = HideClient::new(client);

    assert_eq!(hide.mixed(1).await.unwrap_err().code(), Code::NotFound);
    let error = hide.io().await.unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    assert!(!error.to_string().contains("secret"));
}
