"""Kicks: tasks that ask the workers to look at rows, which are the truth. So one that waits in the queue is enough."""

from typing import Any

from django_tasks.base import Task
from django_tasks_db.models import DBTaskResult


def kick_once(task: "Task[Any, Any]", *args: int) -> None:
    """Put a task into the queue, unless the same one waits there: it will find what there is to do when it runs.

    Of several who do this at one moment each may put one there.
    """
    same = DBTaskResult.objects.ready().filter(task_path=task.module_path, args_kwargs__args=list(args))
    if not same.exists():
        task.enqueue(*args)
