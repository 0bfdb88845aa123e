from django.urls import path

from . import views

app_name = "batches"
urlpatterns = [
    path("batches/", views.batch_list, name="batch-list"),
    path("batches/add/", views.batch_add, name="batch-add"),
    path("outside/restore/", views.outside_restore, name="outside-restore"),
    path("batches/<int:pk>/", views.batch_page, name="batch-page"),
    path("batches/<int:pk>/start/", views.batch_start_view, name="batch-start"),
    path("batches/<int:pk>/continue/", views.batch_continue_view, name="batch-continue"),
    path("batches/<int:pk>/stop/", views.batch_stop_view, name="batch-stop"),
    path("batches/<int:pk>/cancel/", views.batch_cancel_view, name="batch-cancel"),
    path("batches/<int:pk>/retry/", views.batch_retry_view, name="batch-retry"),
    path("batches/<int:pk>/restore/", views.batch_restore_view, name="batch-restore"),
    path("batches/<int:pk>/results.csv", views.batch_results, name="batch-results"),
]
