from django.db import models


class PeriodicJob(models.Model):
    """Work that one process at a time does every so often: when it is due next, and when it was last done.

    The row is claimed by a conditional update of `due_at`. name: "tick", or "seal" for the daily checkpoint of the log.
    """

    name = models.CharField(max_length=20, primary_key=True)
    due_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name}, due {self.due_at:%H:%M:%S}"
