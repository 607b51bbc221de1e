//! `request`: writes to somebody who is no contact. The only verb that does, and it asks before.

use subrosa_client_core::account::check_handle;
use subrosa_client_core::{
    api::{NoParams, ReceiversParams, SendParams},
    clean::clean_line,
};

use crate::{
    Context,
    account::{Use, with_account},
    args::RequestArgs,
    confirm::confirm_request,
    errors::Failure,
};

use super::send::{DEFAULT_TIMEOUT, id_of, send_all, text};

pub(crate) async fn run(ctx: &Context, args: RequestArgs) -> Result<(), Failure> {
    let RequestArgs { handle, message, yes, key, wait, id } = args;
    check_handle(&handle)?;
    let body = text(message, "say it with -m TEXT, or pipe it: … | subrosa request HANDLE --yes -m -").await?;
    let timeout = ctx.global.timeout.unwrap_or(DEFAULT_TIMEOUT);
    with_account(ctx, Use { kind: "send", drain: true }, async |client| {
        // Somebody who was asked before is not asked about again.
        let known = client.receivers(ReceiversParams { to: vec![handle.clone()] }).await;
        if known.is_err() {
            let relay = client.account(NoParams {}).await?.relay;
            let relay = clean_line(relay.trim_end_matches('/')).into_owned();
            confirm_request(ctx, yes, &handle, &relay).await?;
        }
        let id = id_of(key.as_ref(), id.as_ref())?;
        let message = SendParams {
            to: handle.clone(),
            body: body.clone(),
            id,
            reply_to: None,
            key: key.clone(),
            request: true,
            forwarded: false,
        };
        send_all(ctx, &*client, vec![(handle.clone(), message)], wait.status(), timeout).await
    })
    .await
}
