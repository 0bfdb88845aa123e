from tests.mail_server import mail_server

__all__ = ["mail_server"]
