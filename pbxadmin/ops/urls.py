from django.urls import path

from . import health, metrics
from .demo import views

app_name = "ops"
urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("demo/", views.demo_page, name="demo"),
]
