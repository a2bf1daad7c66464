//! The official crate, through one door: its major versions move monthly, and this is the only file that names it.

pub(super) use agent_client_protocol::schema::{MaybeUndefined, ProtocolVersion};
pub(super) use agent_client_protocol::v1::schema;
pub(super) use agent_client_protocol::{
    Agent as AgentRole, Builder, Channel, Client as ClientRole, Dispatch, Error as RpcError, ErrorCode,
    HandleDispatchFrom, Handled, RawJsonRpcId as Id, RawJsonRpcMessage as RpcMessage,
    RawJsonRpcResponse as RpcResponse, RequestCancellation, Responder, TransportFrame,
};

/// The connection to the client: requests of ours go out through it.
pub(super) type Connection = agent_client_protocol::ConnectionTo<ClientRole>;
