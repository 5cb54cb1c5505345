//! GetForwardingPipelineConfig and Capabilities: what a client learns of a server.

use pointsman_proto::p4::v1::get_forwarding_pipeline_config_request::ResponseType;
use pointsman_proto::p4::v1::set_forwarding_pipeline_config_request::Action;

use super::prelude::*;

chapter! { "get":
    Must unknown_device, GET_PIPELINE, "a device that the server does not have is NOT_FOUND";
    Must needs_no_stream, GET_PIPELINE, "anybody may get the pipeline";
    Must all, GET_PIPELINE, "ALL has the p4info, and the device config verbatim if the server keeps it";
    Must cookie_only, GET_PIPELINE, "COOKIE_ONLY has the cookie and nothing else";
    Must p4info_and_cookie, GET_PIPELINE, "P4INFO_AND_COOKIE has these and no device config";
    Must device_config_and_cookie, GET_PIPELINE, "DEVICE_CONFIG_AND_COOKIE has no p4info";
    Must no_cookie, PIPELINE_CONFIG, "a cookie that was not set is not there";
    Must zero_cookie, PIPELINE_CONFIG, "a cookie of 0 that was set is there";
    Must version, CAPABILITIES, "Capabilities has the version of the API as a semantic version";
    Must version_of_device, CAPABILITIES, "Capabilities of a device has server-wide capabilities, too";
    Must capabilities_unknown_device, CAPABILITIES, "Capabilities of a device that is not there is NOT_FOUND";
    Should current_version, VERSIONING, "the version is 1.5";
}

/// A client that has set the main program with a cookie.
async fn with_cookie(t: &Test, cookie: Option<u64>) -> Outcome<Client> {
    let mut c = t.primary().await?;
    let config = p4::ForwardingPipelineConfig {
        cookie: cookie.map(|cookie| p4::forwarding_pipeline_config::Cookie { cookie }),
        ..ENTITIES.config()
    };
    accepted(
        "setting the pipeline",
        c.set(Action::VerifyAndCommit, Some(config)).await,
    )?;
    Ok(c)
}

/// What the server answers; a pipeline is set.
async fn get(c: &mut Client, kind: ResponseType) -> Outcome<p4::ForwardingPipelineConfig> {
    let config = accepted(kind.as_str_name(), c.get(kind).await)?;
    config.ok_or_else(|| Failure::differs(kind.as_str_name(), "a config", "none"))
}

async fn unknown_device(t: Test) -> Outcome {
    let mut c = t.switch().await?;
    c.device_id += 1_000_003;
    refused("Get", c.get(ResponseType::All).await, &[Code::NotFound])
}

async fn needs_no_stream(t: Test) -> Outcome {
    let _primary = t.switch().await?;
    let mut rpc = t.connect().await?;
    let request = p4::GetForwardingPipelineConfigRequest {
        device_id: t.device_id(),
        ..Default::default()
    };
    accepted("Get", rpc.get_forwarding_pipeline_config(request).await).map(drop)
}

async fn all(t: Test) -> Outcome {
    let mut c = with_cookie(&t, Some(77)).await?;
    let config = get(&mut c, ResponseType::All).await?;
    holds(
        "the p4info",
        "as it was set",
        config.p4info.as_ref() == Some(&ENTITIES.p4info),
        "another",
    )?;
    same("the cookie", config.cookie.map(|c| c.cookie), Some(77))?;
    let device = &config.p4_device_config;
    let kept = device.is_empty() || device == ENTITIES.device_config;
    holds(
        "the device config",
        "none, or as it was set",
        kept,
        device.len(),
    )
}

async fn cookie_only(t: Test) -> Outcome {
    let mut c = with_cookie(&t, Some(77)).await?;
    let config = get(&mut c, ResponseType::CookieOnly).await?;
    same("the cookie", config.cookie.map(|c| c.cookie), Some(77))?;
    let bare = config.p4info.is_none() && config.p4_device_config.is_empty();
    holds("the rest", "not there", bare, "p4info or device config")
}

async fn p4info_and_cookie(t: Test) -> Outcome {
    let mut c = with_cookie(&t, Some(77)).await?;
    let config = get(&mut c, ResponseType::P4infoAndCookie).await?;
    same("the cookie", config.cookie.map(|c| c.cookie), Some(77))?;
    holds("the p4info", "there", config.p4info.is_some(), "none")?;
    same(
        "the device config's length",
        config.p4_device_config.len(),
        0,
    )
}

async fn device_config_and_cookie(t: Test) -> Outcome {
    let mut c = with_cookie(&t, Some(77)).await?;
    let config = get(&mut c, ResponseType::DeviceConfigAndCookie).await?;
    same("the cookie", config.cookie.map(|c| c.cookie), Some(77))?;
    holds(
        "the p4info",
        "not there",
        config.p4info.is_none(),
        "a p4info",
    )
}

async fn no_cookie(t: Test) -> Outcome {
    let mut c = with_cookie(&t, None).await?;
    let config = get(&mut c, ResponseType::All).await?;
    same("the cookie", config.cookie, None)
}

async fn zero_cookie(t: Test) -> Outcome {
    let mut c = with_cookie(&t, Some(0)).await?;
    let config = get(&mut c, ResponseType::All).await?;
    same("the cookie", config.cookie.map(|c| c.cookie), Some(0))
}

async fn capabilities(t: &Test, device_id: u64) -> Result<String, tonic::Status> {
    let mut rpc = match t.connect().await {
        Ok(rpc) => rpc,
        Err(failure) => return Err(tonic::Status::unavailable(failure.to_string())),
    };
    let answer = rpc
        .capabilities(p4::CapabilitiesRequest { device_id })
        .await?;
    Ok(answer.into_inner().p4runtime_api_version)
}

fn is_semantic(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok())
}

async fn version(t: Test) -> Outcome {
    let version = accepted("Capabilities", capabilities(&t, 0).await)?;
    holds(
        "the version",
        "a semantic version",
        is_semantic(&version),
        &version,
    )
}

async fn version_of_device(t: Test) -> Outcome {
    let version = accepted("Capabilities", capabilities(&t, t.device_id()).await)?;
    holds(
        "the version",
        "a semantic version",
        is_semantic(&version),
        &version,
    )
}

async fn capabilities_unknown_device(t: Test) -> Outcome {
    let answer = capabilities(&t, t.device_id() + 1_000_003).await;
    refused("Capabilities", answer, &[Code::NotFound])
}

async fn current_version(t: Test) -> Outcome {
    let version = accepted("Capabilities", capabilities(&t, 0).await)?;
    holds("the version", "1.5", version.starts_with("1.5."), &version)
}
