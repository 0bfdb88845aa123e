from django.db import models


class Turn(models.Model):
    """When the next tick is due, and when the last one ended. One row for all processes, claimed by an update."""

    name = models.CharField(max_length=20, primary_key=True)
    due_at = models.DateTimeField()
    done_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name}, due {self.due_at:%H:%M:%S}"
