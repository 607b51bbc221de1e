//! `rpc`: JSON-RPC on standard input and output, for programs that start their own messenger.

use std::sync::Arc;

use subrosa_client_core::{caller::Caller, rpc::serve_stream};

use crate::{
    Context,
    account::{Use, with_account},
    errors::Failure,
};

pub(crate) async fn run(ctx: &Context) -> Result<(), Failure> {
    with_account(ctx, Use { kind: "rpc", drain: false }, async |client| {
        serve_stream(Arc::clone(&client), tokio::io::stdin(), tokio::io::stdout(), Caller::Process).await;
        Ok(())
    })
    .await
}
