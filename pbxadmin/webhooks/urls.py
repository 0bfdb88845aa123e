from django.urls import path

from . import views

app_name = "webhooks"
urlpatterns = [
    path("webhooks/<int:pk>/", views.webhook_page, name="webhook-page"),
]
