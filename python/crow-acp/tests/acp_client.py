"""The plain ACP client, by the name that these tests know it by."""

from crow_acp.testing import AcpClient, AcpError, environment, wait_for

__all__ = ["AcpClient", "AcpError", "environment", "wait_for"]
