//! Makes the gRPC service of P4Runtime with codecs of our own: `pointsman-proto` has its messages.

use tonic_build::manual::{Builder, Method, Service};

const MESSAGES: &str = "pointsman_proto::p4::v1";
const PROST: &str = "tonic_prost::ProstCodec";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let message = |name: &str| format!("{MESSAGES}::{name}");
    let method = |name: &str, route: &str| {
        let method = Method::builder().name(name).route_name(route);
        let method = method.input_type(message(&format!("{route}Request")));
        let method = method.output_type(message(&format!("{route}Response")));
        method.codec_path(PROST)
    };
    let write = method("write", "Write")
        .input_type("crate::p4runtime::wire::WriteRequest")
        .codec_path("crate::p4runtime::wire::WriteCodec");
    let stream_channel = Method::builder()
        .name("stream_channel")
        .route_name("StreamChannel")
        .input_type(message("StreamMessageRequest"))
        .output_type(message("StreamMessageResponse"))
        .codec_path(PROST)
        .client_streaming()
        .server_streaming();
    let set = method(
        "set_forwarding_pipeline_config",
        "SetForwardingPipelineConfig",
    );
    let get = method(
        "get_forwarding_pipeline_config",
        "GetForwardingPipelineConfig",
    );
    let service = Service::builder()
        .name("P4Runtime")
        .package("p4.v1")
        .method(write.build())
        .method(method("read", "Read").server_streaming().build())
        .method(set.build())
        .method(get.build())
        .method(stream_channel.build())
        .method(method("capabilities", "Capabilities").build())
        .build();
    Builder::new().build_client(false).compile(&[service]);
}
